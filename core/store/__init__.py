"""The workspace's database: the only part that imports a database driver. Start at `store.Store`."""
