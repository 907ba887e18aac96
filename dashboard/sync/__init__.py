"""Reading the provider: `fetch` touches only the network, `save_*` only the database, `runs` puts them together."""
