"""The local cloud: real servers from wheels, and small stand-ins for the rest."""
