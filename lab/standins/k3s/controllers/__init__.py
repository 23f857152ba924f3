"""The controllers: each a pure function from the objects there are to what has to be written."""
