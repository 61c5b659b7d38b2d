"""A page to play with nets, on this machine alone: python -m purenet.playground

Training runs in the Python process, by purenet; the page asks for about 30 ms of it at a time, and shows what it is
told. `session` is a net and its numbers, `server` hands them to the page by HTTP, and `page.html` is the page.
"""
