"""Devices, their memory, and what goes to and from them."""
