# What a role may use, in systemd's words.
{ lib }:
{ cpu, memory, tasks }:
lib.optionalAttrs (cpu != null) { CPUQuota = "${toString (builtins.floor (cpu * 100))}%"; }
// lib.optionalAttrs (memory != null) { MemoryMax = memory; }
// lib.optionalAttrs (tasks != null) { TasksMax = tasks; }
