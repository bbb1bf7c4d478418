"""The engine: Python in Cython's pure-Python mode, compiled to C. It never holds the GIL between accept and close."""
