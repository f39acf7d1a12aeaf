# What Caddy, nginx and Prometheus are told, as files.
{ lib }:
let
  caddyfile =
    caddy:
    lib.optionalString (caddy.globalConfig != "") "{\n${caddy.globalConfig}}\n\n"
    + lib.concatStringsSep "\n" (
      lib.mapAttrsToList (name: host: "${name} {\n${indented (acme host + host.extraConfig)}}\n") caddy.virtualHosts
    );
  acme =
    host:
    lib.optionalString (host.useACMEHost != null) (
      let place = "/var/lib/acme/${host.useACMEHost}"; in "tls ${place}/cert.pem ${place}/key.pem\n"
    );
  indented = text: lib.concatMapStrings (line: "\t${line}\n") (lib.filter (line: line != "") (lib.splitString "\n" text));

  location = name: one: ''
    	location ${name} {
    ${indented2 (
      lib.optional (one.proxyPass != null) "proxy_pass ${one.proxyPass};"
      ++ lib.optionals one.proxyWebsockets [
        "proxy_http_version 1.1;"
        "proxy_set_header Upgrade $http_upgrade;"
        "proxy_set_header Connection $connection_upgrade;"
      ]
      ++ lib.optional (one.root != null) "root ${one.root};"
      ++ lib.optional (one.tryFiles != null) "try_files ${one.tryFiles};"
      ++ lib.filter (line: line != "") (lib.splitString "\n" one.extraConfig)
      # Its headers are sent beside those before.
      ++ lib.optional (one.proxyPass != null && one.recommendedProxySettings) "include recommended-proxy-headers;"
    )}	}
  '';
  indented2 = lib.concatMapStrings (line: "\t\t${line}\n");

  server =
    name: host:
    let
      acme = if host.useACMEHost != null then host.useACMEHost else if host.enableACME then name else null;
      certificate = if acme != null then "/var/lib/acme/${acme}/fullchain.pem" else host.sslCertificate;
      key = if acme != null then "/var/lib/acme/${acme}/key.pem" else host.sslCertificateKey;
    in
    lib.optionalString host.forceSSL ''
      server {
      	listen 80;
      	listen [::]:80;
      	server_name ${name};
      	return 301 https://$host$request_uri;
      }
    ''
    + ''
      server {
      	listen ${if host.forceSSL then "443 ssl" else "80"};
      	listen [::]:${if host.forceSSL then "443 ssl" else "80"};
      	server_name ${name};
    ''
    + lib.optionalString host.forceSSL ''
      	ssl_certificate ${toString certificate};
      	ssl_certificate_key ${toString key};
    ''
    + lib.concatStrings (lib.mapAttrsToList location host.locations)
    + "}\n";

  upstream =
    name: one:
    "upstream ${name} {\n${lib.concatStrings (lib.mapAttrsToList (address: _: "\tserver ${address};\n") one.servers)}}\n";
in
{
  inherit caddyfile;

  # A site, to be included in a block `http`.
  nginxSite =
    nginx:
    "map $http_upgrade $connection_upgrade {\n\tdefault upgrade;\n\t'' close;\n}\n"
    + lib.concatStrings (lib.mapAttrsToList upstream nginx.upstreams)
    + lib.concatStrings (lib.mapAttrsToList server nginx.virtualHosts);

  # It runs as its account from the start, and Debian's places for what is on its way are root's.
  nginxConfig = site: ''
    pid /run/nginx/nginx.pid;
    error_log stderr;
    daemon off;
    events {}
    http {
    	include /etc/nginx/mime.types;
    	access_log off;
    	client_body_temp_path /tmp/nginx_client_body;
    	proxy_temp_path /tmp/nginx_proxy;
    	fastcgi_temp_path /tmp/nginx_fastcgi;
    	uwsgi_temp_path /tmp/nginx_uwsgi;
    	scgi_temp_path /tmp/nginx_scgi;
    ${indented site}}
  '';

  # JSON is YAML.
  prometheusConfig =
    prometheus: rules:
    builtins.toJSON {
      global = prometheus.globalConfig;
      rule_files = rules;
      scrape_configs = prometheus.scrapeConfigs;
    };
}
