# The API: a socket that systemd holds, and one process behind it, or several with a socket each.
#
# The socket outlives the process: connections wait in it during a restart, so a switch under load loses no request.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  unit = import ./unit.nix { inherit config lib; };
  topology = import ./topology.nix { inherit config lib; };
  addresses = import ./addresses.nix { inherit lib; };

  proxyGroup =
    if cfg.proxy.caddy.enable then config.services.caddy.group
    else if cfg.proxy.nginx.enable then config.services.nginx.group
    else cfg.group;

  socketOf = api: {
    description = "Tenon API socket";
    documentation = [ "man:tenon-serve(1)" ];
    wantedBy = [ "sockets.target" ];
    partOf = [ "tenon.target" ];
    listenStreams =
      lib.optional topology.proxied api.socket
      ++ lib.optional (cfg.listen.address != null) (addresses.withPort cfg.listen.address api.port);
    socketConfig =
      lib.optionalAttrs topology.proxied {
        SocketUser = cfg.user;
        SocketGroup = proxyGroup;
        SocketMode = "0660";
      }
      // lib.optionalAttrs (cfg.listen.address != null) {
        # Sockets are made before the machine has its addresses.
        FreeBind = true;
      };
  };

  serviceOf =
    api:
    unit {
      role = "api";
      description = "Tenon API";
      command = "serve";
      reaches = [ "database" "redis" "files" "clients" "prometheus" ];
      extra = {
        requires = [ "${api.unit}.socket" ];
        after = [ "${api.unit}.socket" "tenon-migrate.service" ];
        wants = [ "tenon-migrate.service" ];
        wantedBy = [ "tenon.target" ];
        environment.TENON__METRICS__LISTEN = api.metrics;
        serviceConfig = {
          Type = "notify";
          ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
          Restart = "always";
          WatchdogSec = 30;
          # One that is frozen hears nothing milder.
          WatchdogSignal = "SIGKILL";
          # Longer than `server.shutdown_grace`.
          TimeoutStopSec = 60;
        };
      };
    };

  # A switch leaves a socket whose service runs as it was made, whatever has become of its address or its group. So what
  # each was made of is noted, and one that should be different is made anew, with its service; none else is touched.
  remakeIfChanged =
    api:
    let
      made = builtins.toJSON { inherit (config.systemd.sockets.${api.unit}) listenStreams socketConfig; };
    in
    ''
      note=/run/tenon-sockets/${api.unit}
      made=${lib.escapeShellArg made}
      if [ -e "$note" ] && [ "$(cat "$note")" != "$made" ]; then
        systemctl try-restart ${api.unit}.socket
      fi
      printf %s "$made" > "$note"
    '';

  eachApi = suffix: make: lib.listToAttrs (map (api: lib.nameValuePair "${api.unit}${suffix}" (make api)) topology.apis);
in
{
  options.services.tenon = {
    instances = mkOption {
      type = types.ints.unsigned;
      default = 1;
      example = 3;
      description = ''
        How many API processes run on this machine; none on one that only works. One is `tenon.service`; several are `tenon@1.service` and so on, and
        the proxy shares requests among them.
      '';
    };

    listen = {
      address = mkOption {
        type = types.nullOr addresses.ip;
        apply = address: if address == null then null else addresses.bare address;
        default = if topology.proxied then null else "127.0.0.1";
        defaultText = lib.literalExpression ''if proxy.caddy.enable || proxy.nginx.enable then null else "127.0.0.1"'';
        example = "10.0.0.5";
        description = "Address to listen on by TCP, for a proxy elsewhere. The proxy of this machine has a unix socket, which nobody else can enter.";
      };
      port = mkOption {
        type = types.port;
        default = 8080;
        description = "Port for that address; of several instances, the first one's.";
      };
    };
  };

  config = mkIf cfg.enable {
    systemd.sockets = eachApi "" socketOf;
    systemd.services = lib.mkMerge [
      (eachApi "" serviceOf)
      (mkIf (topology.apis != [ ]) {
        tenon-sockets = {
          description = "Changes of Tenon's sockets";
          documentation = [ "man:tenon-serve(1)" ];
          wantedBy = [ "tenon.target" ];
          partOf = [ "tenon.target" ];
          stopIfChanged = false;
          script = lib.concatMapStrings remakeIfChanged topology.apis;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            RuntimeDirectory = "tenon-sockets";
            RuntimeDirectoryPreserve = true;
          }
          // lib.mapAttrs (_: lib.mkDefault) {
            # Root, to ask systemd; nothing else of root's.
            CapabilityBoundingSet = "";
            NoNewPrivileges = true;
            PrivateDevices = true;
            PrivateNetwork = true;
            PrivateTmp = true;
            ProtectHome = true;
            ProtectSystem = "strict";
            RestrictAddressFamilies = [ "AF_UNIX" ];
          };
        };
      })
    ];

    assertions = [
      {
        assertion = cfg.instances > 0 -> topology.proxied || cfg.listen.address != null;
        message = "services.tenon.listen.address is null and no proxy of this machine is on: nobody could reach the API. Leave listen.address alone, or set services.tenon.instances = 0.";
      }
      {
        assertion = cfg.instances > 1 -> cfg.redis.enable;
        message = "services.tenon: ${toString cfg.instances} instances hear of each other's events through Redis: set services.tenon.redis.enable, or run one instance.";
      }
    ];
  };
}
