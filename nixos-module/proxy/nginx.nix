# nginx, for machines that have it already.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg.proxy) nginx;
  topology = import ../topology.nix { inherit config lib; };

  servers = lib.listToAttrs (map (api: lib.nameValuePair "unix:${api.socket}" { }) topology.apis);

  # Uploads are handed on as they come, and websockets may be silent for as long as the program lets them.
  toProgram = {
    proxyPass = "http://tenon";
    proxyWebsockets = true;
    # The machine's own would send each header twice.
    recommendedProxySettings = false;
    extraConfig = ''
      client_max_body_size 0;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    '';
  };
in
{
  options.services.tenon.proxy.nginx = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the nginx of this machine serves `domain`.";
    };
    enableACME = mkOption {
      type = types.bool;
      default = cfg.proxy.useACMEHost == null;
      defaultText = lib.literalExpression "proxy.useACMEHost == null";
      description = "Whether a certificate of its own comes by ACME, for which `security.acme` wants an address and its terms accepted. Otherwise set `services.nginx.virtualHosts.<domain>.sslCertificate` and `sslCertificateKey`.";
    };
  };

  config = mkIf (cfg.enable && nginx.enable) {
    services.nginx = {
      enable = true;
      recommendedTlsSettings = mkDefault true;
      upstreams.tenon.servers = servers;
      virtualHosts.${toString cfg.domain} = {
        forceSSL = true;
        enableACME = nginx.enableACME;
        useACMEHost = cfg.proxy.useACMEHost;
        # `expires`, since `add_header` would drop the headers that the machine adds to all of its sites.
        locations =
          if cfg.webPackage == null then
            { "/" = toProgram; }
          else
            {
              "/api/" = toProgram;
              "/" = {
                root = "${cfg.webPackage}";
                tryFiles = "$uri /index.html";
                extraConfig = "expires -1;";
              };
              "/assets/" = {
                root = "${cfg.webPackage}";
                extraConfig = "expires 1y;";
              };
            };
      };
    };
  };
}
