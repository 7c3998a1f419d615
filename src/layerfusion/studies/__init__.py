"""The paper's claims, held against runs of several seeds."""
