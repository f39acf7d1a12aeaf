# `tenon` for administrators: the command, with the account, the settings and the secrets of the service.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf;
  cfg = config.services.tenon;
  limits = import ./limits.nix { inherit lib; };
  topology = import ./topology.nix { inherit config lib; };

  # As the service.
  service = {
    User = cfg.user;
    Group = cfg.group;
    SupplementaryGroups = lib.optional cfg.redis.createLocally config.services.redis.servers.tenon.group;
    LoadCredential = cfg.credentials;
    EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
  };
  # As Postgres' own `tenon wal`, which knows of backups and nothing else, but as root.
  postgres = {
    User = "root";
    Group = "root";
    LoadCredential = lib.filter (lib.hasPrefix "backup.") cfg.credentials;
  };

  # `tenon health` asks the first process, for settings do not say where each listens.
  askFirst = lib.optionalString (topology.processes != [ ]) ''
    if [ "$command" = health ]; then
        act ${wordsOf service} --setenv=TENON_CONFIG=/etc/tenon/tenon.toml ${lib.escapeShellArg "--setenv=TENON__METRICS__LISTEN=${(lib.head topology.processes).metrics}"} ${lib.getExe cfg.package} "$@"
    fi
  '';

  wordsOf =
    who:
    lib.escapeShellArgs (
      lib.concatLists (
        lib.mapAttrsToList
          (name: value: map (one: "--property=${name}=${lib.generators.mkValueStringDefault { } one}") (lib.toList value))
          (
            who
            // {
              PrivateTmp = true;
              UMask = "0077";
            }
            // limits cfg.resources.command
          )
      )
    );
in
{
  config = mkIf cfg.enable {
    environment.systemPackages = [
      # Its manual and completions; its command is the one below.
      (lib.lowPrio cfg.package)
      (pkgs.writeShellApplication {
        name = "tenon";
        text = ''
          # Runs tenon as the service would: as ${cfg.user}, with its settings and secrets.
          case "''${1-help}" in
          config | openapi | completions | man | help | -h | --help | -V | --version)
              exec ${lib.getExe cfg.package} "''${@:-help}"
              ;;
          esac
          if [ "$(id -u)" -ne 0 ]; then
              echo "tenon: only root can act for the service; try: sudo tenon $*" >&2
              exit 1
          fi
          act() {
              # The directory, for files that are named, unless the account cannot enter it: root's own, mostly.
              exec systemd-run --quiet --collect --wait --pty --pipe --service-type=exec \
                  --setenv=PATH="$PATH" --setenv=TERM="''${TERM-dumb}" --property=WorkingDirectory="-$PWD" "$@"
          }
          command="" into=""
          for word in "$@"; do
              case "$word" in
              --into | --into=*) into=yes ;;
              -*) ;;
              *) command="''${command:-$word}" ;;
              esac
          done
          if [ "$command" = restore ] && [ "$into" = yes ]; then
              # A directory for Postgres: only root can read backups and write there. Postgres itself fetches its log,
              # and these settings are what it may know.
              act ${wordsOf postgres} --setenv=TENON_CONFIG=/etc/tenon/wal.toml ${lib.getExe cfg.package} "$@"
          fi
${askFirst}act ${wordsOf service} --setenv=TENON_CONFIG=/etc/tenon/tenon.toml ${lib.getExe cfg.package} "$@"
        '';
      })
    ];
  };
}
