"""What stands between the program and other machines: addresses, clients, listeners, and whom it fetches from."""
