"""The engine: Python in Cython's pure-Python mode, compiled to C, never holding the GIL between accept and close."""
