# The proxy in front: Caddy, nginx, or one elsewhere.
#
# It speaks HTTPS, hands over the client's address, lets websockets through, and limits no upload: the program knows how
# large a file may be, and says so in a way that clients understand.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg.proxy) caddy nginx;
  inherit (import ../topology.nix { inherit config lib; }) proxied;
  inherit (import ../addresses.nix { inherit lib; }) domain isLoopback;

  # Whether a site of nginx listens where Caddy does.
  takesPorts = host: host.listen == [ ] || lib.any (one: lib.elem (one.port or 80) [ 80 443 ]) host.listen;
  nginxTakesPorts = config.services.nginx.enable && lib.any takesPorts (lib.attrValues config.services.nginx.virtualHosts);
in
{
  imports = [
    ./caddy.nix
    ./nginx.nix
  ];

  options.services.tenon = {
    webPackage = mkOption {
      type = types.nullOr types.package;
      default = null;
      description = "The web interface, which the proxy serves. Null leaves all pages to the program.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open ports 80 and 443, and none else; with Caddy, which speaks HTTP/3, 443 by UDP as well.";
    };
    proxy.useACMEHost = mkOption {
      type = types.nullOr domain;
      default = null;
      example = "example.org";
      description = ''
        Certificate of `security.acme.certs` that the proxy uses, such as one for all names below `example.org`, instead of one of its own.
        Its `group` must be that of the proxy.
      '';
    };
  };

  config = mkIf cfg.enable {
    # Without a proxy of ours there is somebody else's; on this machine, unless the address says otherwise.
    services.tenon.settings.server.trusted_proxies = mkIf (!proxied && isLoopback (toString cfg.listen.address)) (
      lib.mkDefault [ "127.0.0.1" "::1" ]
    );

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [ 80 443 ];
    networking.firewall.allowedUDPPorts = mkIf (cfg.openFirewall && caddy.enable) [ 443 ];

    assertions = [
      {
        assertion = cfg.domain != null -> proxied;
        message = "services.tenon.domain is ${toString cfg.domain}, but nothing serves it: enable services.tenon.proxy.caddy or services.tenon.proxy.nginx. When the proxy is elsewhere, leave the domain unset and set services.tenon.settings.public_url.";
      }
      {
        assertion = proxied -> cfg.domain != null;
        message = "services.tenon.proxy: a proxy needs the name that it serves: set services.tenon.domain.";
      }
      {
        assertion = proxied -> cfg.instances > 0;
        message = "services.tenon.proxy: this machine runs no API to be a proxy for: set services.tenon.instances, or leave services.tenon.domain unset and set services.tenon.settings.public_url.";
      }
      {
        assertion = !(caddy.enable && nginx.enable);
        message = "services.tenon.proxy: Caddy and nginx are both enabled, and only one of them can have ports 80 and 443.";
      }
      {
        assertion = caddy.enable -> !nginxTakesPorts;
        message = "services.tenon.proxy: the nginx of this machine has ports 80 and 443, which Caddy needs: set services.tenon.proxy.nginx.enable, and nginx serves Tenon as well.";
      }
      {
        assertion = nginx.enable -> !(config.services.caddy.enable && config.services.caddy.virtualHosts != { });
        message = "services.tenon.proxy: the Caddy of this machine has ports 80 and 443, which nginx needs: set services.tenon.proxy.nginx.enable = false, and Caddy serves Tenon as well.";
      }
      {
        assertion = proxied -> !config.services.httpd.enable;
        message = "services.tenon.proxy: the Apache of this machine has ports 80 and 443. Let it be the proxy: leave services.tenon.domain unset and set services.tenon.settings.public_url.";
      }
      {
        assertion = cfg.proxy.useACMEHost != null -> proxied;
        message = "services.tenon.proxy.useACMEHost is the certificate of the proxy of this machine, and there is none.";
      }
      {
        assertion = cfg.proxy.useACMEHost != null -> !(caddy.enable && caddy.internalAuthority) && !(nginx.enable && nginx.enableACME);
        message = "services.tenon.proxy.useACMEHost names a certificate, and another is asked for: leave proxy.caddy.internalAuthority and proxy.nginx.enableACME alone.";
      }
      {
        assertion = cfg.openFirewall -> proxied;
        message = "services.tenon.openFirewall opens ports 80 and 443, but no proxy of this machine listens there.";
      }
      {
        assertion = cfg.webPackage != null -> proxied;
        message = "services.tenon.webPackage is served by the proxy of this machine, and there is none.";
      }
    ];
  };
}
