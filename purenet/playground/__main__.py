"""The command: python -m purenet.playground"""

import argparse
import webbrowser

from purenet import playground
from purenet.playground.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m purenet.playground",
        description=playground.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1; 0, the default, is any free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    options = parser.parse_args()
    try:
        server = serve(options.port)
    except (OSError, OverflowError) as error:
        parser.error(f"port {options.port} cannot be had ({error}): try another, or 0 for a free one")
    address = f"http://127.0.0.1:{server.server_port}/"
    print(f"The playground is at {address} (Ctrl+C ends it)", flush=True)
    if not options.no_browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
