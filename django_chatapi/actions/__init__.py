"""Every write: keyword-only, typed, atomic; each announces on commit. Nothing here imports a task or a door."""
