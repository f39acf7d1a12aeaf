# Caddy: the proxy by default, since it gets its certificates by itself.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg.proxy) caddy;
  topology = import ../topology.nix { inherit config lib; };

  upstreams = lib.concatMapStringsSep " " (api: "unix/${api.socket}") topology.apis;

  # A connection for each request: one that was kept could be closed, by a process that stops, under a request that is
  # on its way, while a new one waits in the socket.
  transport = "\ttransport http {\n\t\tkeepalive off\n\t}\n";

  # A process that hangs is left alone for a while.
  several = ''
    	lb_policy least_conn
    	lb_try_duration 5s
    	fail_duration 5s
  '';
  proxy = "reverse_proxy ${upstreams} {\n${lib.optionalString (cfg.instances > 1) several}\tflush_interval -1\n${transport}}";

  pages = ''
    handle /api/* {
    ${proxy}
    }
    handle {
    	root * ${cfg.webPackage}
    	@hashed path /assets/*
    	header @hashed Cache-Control "public, max-age=31536000, immutable"
    	header ?Cache-Control no-cache
    	try_files {path} /index.html
    	file_server
    }
  '';
in
{
  options.services.tenon.proxy.caddy = {
    enable = mkOption {
      type = types.bool;
      default = cfg.domain != null && !cfg.proxy.nginx.enable;
      defaultText = lib.literalExpression "domain != null && !proxy.nginx.enable";
      description = "Whether the Caddy of this machine serves `domain`.";
    };
    internalAuthority = mkOption {
      type = types.bool;
      default = false;
      description = "Whether Caddy signs the certificate itself, for names that no public authority knows. Browsers do not trust it until they are told to.";
    };
  };

  config = mkIf (cfg.enable && caddy.enable) {
    services.caddy = {
      enable = true;
      # That browsers come by HTTPS only, the program says, in every response: nobody says it a second time.
      virtualHosts.${toString cfg.domain} = {
        useACMEHost = cfg.proxy.useACMEHost;
        extraConfig = ''
          ${lib.optionalString caddy.internalAuthority "tls internal"}
          ${if cfg.webPackage == null then proxy else pages}
        '';
      };
    };
  };
}
