"""The driver: prepares the output directory, then keeps a backend busy until all is done."""
