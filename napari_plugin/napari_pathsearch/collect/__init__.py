"""Collections: places gathered by one key, in an order, to show and to teach from."""
