"""The list of the examples, with one line each: python -m purenet.examples"""

from purenet.examples.command import scripts


def main() -> None:
    for path, doc in scripts().items():
        print(f"{path.stem:16} {doc.splitlines()[0]}")


if __name__ == "__main__":
    main()
