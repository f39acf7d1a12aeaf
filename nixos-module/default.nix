# `services.tenon`: an installation of Tenon. Each file is one concern: its options, and what they bring about.
#
# Nothing here decides what the program can decide: units stay thin, and the file of settings is checked by
# `tenon config check` when the system is built.
{
  imports = [
    ./options.nix
    ./settings.nix
    ./secrets.nix
    ./resources.nix
    ./migrate.nix
    ./initial-admin.nix
    ./api.nix
    ./workers.nix
    ./scheduler.nix
    ./database.nix
    ./redis.nix
    ./storage.nix
    ./mail.nix
    ./proxy
    ./backup.nix
    ./wal.nix
    ./monitoring.nix
    ./cli.nix
  ];
}
