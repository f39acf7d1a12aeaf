"""Checks of the NixOS module that need no machine: ring 1 of docs/admin/nixos-verification.md."""
