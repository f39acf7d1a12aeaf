"""Boots the units of the NixOS module under a real systemd, on Debian, and runs NixOS tests against them.

A test is a real NixOS test file (`vm-tests/<name>.nix`). Its nodes are evaluated to plans by `render.nix`, laid over
a Debian root file system by `apply`, booted by `container` (systemd-nspawn) or `emulator` (QEMU), and its
`testScript` talks to them through `machine`, which has the names of the NixOS test driver.

This is Debian's systemd with units shaped by NixOS. It is not a NixOS test; see docs/admin/nixos-verification.md.
"""
