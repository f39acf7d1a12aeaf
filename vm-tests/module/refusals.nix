# Configurations that must be refused, each with the words that the administrator reads.
let
  refused = message: tenon: {
    inherit message;
    configuration.services.tenon = {
      enable = true;
      domain = "tenon.example.org";
    } // tenon;
  };
in
{
  nobody-could-find-it = refused "nobody could find this installation" { domain = null; };
  a-domain-without-a-proxy = refused "but nothing serves it" { proxy.caddy.enable = false; };
  a-proxy-without-a-domain = refused "a proxy needs the name that it serves" {
    domain = null;
    proxy.caddy.enable = true;
    settings.public_url = "https://tenon.example.org";
  };
  two-proxies = refused "only one of them can have ports 80 and 443" {
    proxy.caddy.enable = true;
    proxy.nginx.enable = true;
  };
  an-open-firewall-without-a-proxy = refused "no proxy of this machine listens there" {
    domain = null;
    settings.public_url = "https://tenon.example.org";
    openFirewall = true;
  };
  a-site-of-nginx-beside-caddy = {
    message = "the nginx of this machine has ports 80 and 443";
    configuration = {
      services.nginx.enable = true;
      services.nginx.virtualHosts."other.example.org" = { };
      services.tenon = {
        enable = true;
        domain = "tenon.example.org";
      };
    };
  };
  a-site-of-caddy-beside-nginx = {
    message = "the Caddy of this machine has ports 80 and 443";
    configuration = {
      services.caddy.enable = true;
      services.caddy.virtualHosts."other.example.org" = { };
      services.tenon = {
        enable = true;
        domain = "tenon.example.org";
        proxy.nginx.enable = true;
      };
    };
  };
  an-apache-beside-caddy = {
    message = "the Apache of this machine has ports 80 and 443";
    configuration = {
      services.httpd.enable = true;
      services.tenon = {
        enable = true;
        domain = "tenon.example.org";
      };
    };
  };
  two-certificates = refused "another is asked for" {
    proxy.useACMEHost = "example.org";
    proxy.caddy.internalAuthority = true;
  };
  a-certificate-without-a-proxy = refused "is the certificate of the proxy" {
    domain = null;
    settings.public_url = "https://tenon.example.org";
    proxy.useACMEHost = "example.org";
  };
  a-domain-that-is-a-url = refused "without https:// before it" { domain = "https://tenon.example.org"; };
  a-name-to-listen-at = refused "IP address such as 127.0.0.1 or ::1, and no name" { listen.address = "localhost"; };
  a-name-for-figures = refused "IP address such as 127.0.0.1 or ::1, and no name" { monitoring.address = "localhost"; };
  a-database-at-a-url = refused "directory of a unix socket" {
    database = {
      createLocally = false;
      host = "postgres://db.example.org";
    };
  };
  an-authority-for-a-socket = refused "there is none" {
    database = {
      createLocally = false;
      host = "/run/postgresql";
      caFile = "/etc/ssl/our-authority.pem";
    };
  };
  no-processor-at-all = refused "meaning >0" { resources.api.cpu = 0; };
  an-api-that-nobody-reaches = refused "nobody could reach the API" {
    domain = null;
    settings.public_url = "https://tenon.example.org";
    listen.address = null;
  };
  a-directory-in-a-home = refused "units have neither the homes of people" { stateDir = "/home/tenon"; };
  backups-among-temporary-files = refused "/tmp/backups is not there for them" { backup.directory = "/tmp/backups"; };
  memory-in-other-words = refused "amount of memory such as 512M" { resources.api.memory = "1 gigabyte"; };
  figures-where-requests-go = refused "one port is asked for more than once" {
    domain = null;
    settings.public_url = "https://tenon.example.org";
    listen.port = 9464;
  };
  figures-where-prometheus-is = refused "9090 for Prometheus" {
    monitoring.firstPort = 9090;
    monitoring.prometheus.enable = true;
  };
  more-ports-than-there-are = refused "no port above 65535" { monitoring.firstPort = 65534; };
  a-password-of-no-administrator = refused "which is not set" { initialAdmin.passwordFile = "/run/secrets/password"; };
  a-password-of-an-administrator-in-the-store = refused "would be in the store" {
    initialAdmin.email = "ada@example.org";
    initialAdmin.passwordFile = ./refusals.nix;
  };
  an-administrator-without-an-address = refused "email address" { initialAdmin.email = "ada"; };

  a-proxy-without-an-api = refused "runs no API" { instances = 0; };

  a-secret-in-the-store = refused "would be in the store" {
    secrets.smtpPasswordFile = "/nix/store/00000000000000000000000000000000-password";
  };
  a-secret-that-nix-would-copy = refused "would be in the store" { secrets.signingKeysFile = ./refusals.nix; };
  a-relative-secret = refused "must be the absolute path of a file" { secrets.signingKeysFile = "secrets/keys"; };
  a-secret-among-the-settings = refused "has a secret in it" { settings.mail.password = "canary"; };
  an-environment-file-in-the-store = refused "environmentFile would be in the store" {
    environmentFile = "/nix/store/00000000000000000000000000000000-environment";
  };

  two-databases = refused "a database elsewhere is configured, but createLocally is on" {
    database.host = "db.example.org";
  };
  no-database = refused "nothing says where the database is" { database.createLocally = false; };
  a-database-of-another-name = refused "have one name" { database.name = "other"; };
  an-old-postgres = {
    message = "Postgres 13.21 is too old";
    configuration =
      { pkgs, ... }:
      {
        services.postgresql.package = pkgs.postgresql_13;
        services.tenon = {
          enable = true;
          domain = "tenon.example.org";
        };
      };
  };

  instances-without-redis = refused "through Redis" {
    instances = 2;
    redis.enable = false;
  };
  jobs-in-memory = refused "no worker sees them" { settings.queue.backend = "memory"; };
  jobs-in-a-redis-that-is-off = refused "jobs shall wait in Redis" {
    redis.enable = false;
    redis.queue = true;
  };
  two-redises = refused "a Redis elsewhere is configured, but createLocally is on" { redis.url = "redis://10.0.0.7"; };
  no-redis-anywhere = refused "nothing says where Redis is" { redis.createLocally = false; };

  an-authority-for-a-connection-in-the-clear = refused "there is none" {
    database = {
      createLocally = false;
      host = "db.example.org";
      encrypt = false;
      caFile = "/etc/ssl/our-authority.pem";
    };
  };
  a-password-in-an-address-of-redis = refused "an address has a password in it" {
    redis = {
      createLocally = false;
      url = "redis://:hunter2@10.0.0.7:6379/0";
    };
  };
  a-password-in-an-address-of-a-database = refused "an address has a password in it" {
    database.createLocally = false;
    settings.database.url = "postgres://tenon@db.example.org/tenon?password=hunter2";
  };
  a-password-in-the-url-and-beside-it = refused "has the password in it already" {
    database.createLocally = false;
    secrets = {
      databaseUrlFile = "/run/secrets/url";
      databasePasswordFile = "/run/secrets/password";
    };
  };
  a-redis-that-is-off = refused "services.tenon.redis.enable is off" {
    redis.enable = false;
    redis.url = "redis://10.0.0.7";
  };

  a-recipient-that-is-no-key = refused "begins with age1" {
    backup.recipients = [ "ssh-ed25519 AAAA" ];
  };
  a-key-for-open-backups = refused "they are not encrypted" {
    secrets.backupIdentityFile = "/run/secrets/age";
  };
  the-log-of-a-postgres-elsewhere = refused "is archived there" {
    database = {
      createLocally = false;
      host = "db.example.org";
    };
    backup.pointInTime.enable = true;
  };
  a-log-without-backups = refused "needs services.tenon.backup.enable" {
    backup = {
      enable = false;
      pointInTime.enable = true;
    };
  };
  a-drill-without-a-key = refused "cannot be opened here" {
    backup.recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
    backup.drill.enable = true;
  };
  half-a-key-for-backups = refused "one of them is missing" {
    secrets.backupS3AccessKeyIdFile = "/run/secrets/id";
  };
  a-key-for-backups-elsewhere = refused "backups do not go there" {
    secrets.backupS3AccessKeyIdFile = "/run/secrets/id";
    secrets.backupS3SecretAccessKeyFile = "/run/secrets/key";
  };

  half-a-key-for-s3 = refused "one of them is missing" { secrets.s3AccessKeyIdFile = "/run/secrets/id"; };
  a-key-without-s3 = refused "files are not kept there" {
    secrets.s3AccessKeyIdFile = "/run/secrets/id";
    secrets.s3SecretAccessKeyFile = "/run/secrets/key";
  };
  files-in-memory = refused "gone with the process" { settings.storage.backend = "memory"; };
  a-password-for-nobody = refused "nobody signs in" {
    mail.smtp.host = "mail.example.org";
    secrets.smtpPasswordFile = "/run/secrets/password";
  };

  figures-for-everybody = refused "anybody could read the figures" { monitoring.address = "0.0.0.0"; };
  rules-without-a-prometheus = refused "and there is none" { monitoring.alerts.enable = true; };
  one-address-for-all-figures = refused "every process needs an address of its own" {
    settings.metrics.listen = "127.0.0.1:9000";
  };
  workers-among-the-settings = refused "use services.tenon.workers" { settings.worker.concurrency = 2; };
  a-worker-with-a-strange-name = refused "part of a unit's name" { workers."my worker" = { }; };

  # One machine has one scheduler: two cannot be written down.
  two-schedulers = refused "`services.tenon.scheduler.instances' does not exist" { scheduler.instances = 2; };
  an-unknown-option = refused "`services.tenon.domian' does not exist" { domian = "tenon.example.org"; };
  an-unknown-queue = refused "is not of type" { workers.default.queues = [ "post" ]; };
  an-unknown-backend = refused "is not of type" { mail.smtp = { host = "mail.example.org"; tls = "ssl"; }; };
  a-wrong-type = refused "is not of type" { instances = "three"; };
}
