# Configurations that must be accepted: one for each way of doing things.
let
  example.services.tenon = {
    enable = true;
    domain = "tenon.example.org";
  };
  with' = more: { imports = [ example { services.tenon = more; } ]; };
in
{
  minimal = example;

  everything =
    { pkgs, ... }:
    with' {
      package = pkgs.tenon;
      webPackage = pkgs.tenon-web;
      instances = 3;
      workers = {
        mail = {
          queues = [ "mail" ];
          concurrency = 16;
        };
        rest.queues = [ "default" ];
      };
      environmentFile = "/etc/tenon/environment";
      settings = {
        instance_name = "Example";
        auth.registration = "invite";
        limits.attachment_bytes = "1GiB";
        server.shutdown_grace = "40s";
      };
      secrets = {
        backupIdentityFile = "/run/secrets/age";
        backupS3AccessKeyIdFile = "/run/secrets/backup-id";
        backupS3SecretAccessKeyFile = "/run/secrets/backup-key";
        metricsTokenFile = "/run/secrets/metrics-token";
        s3AccessKeyIdFile = "/run/secrets/s3-id";
        s3SecretAccessKeyFile = "/run/secrets/s3-key";
        signingKeysFile = "/run/secrets/signing-keys";
        smtpPasswordFile = "/run/secrets/smtp-password";
      };
      storage.s3 = {
        endpoint = "https://s3.example.org";
        bucket = "tenon";
      };
      mail.smtp = {
        host = "mail.example.org";
        username = "tenon";
      };
      resources.api = {
        cpu = 1.5;
        memory = "2G";
      };
      proxy.caddy.internalAuthority = true;
      backup = {
        s3 = {
          endpoint = "https://s3.example.org";
          bucket = "tenon-backups";
        };
        recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
        keep.days = 14;
      };
      monitoring.prometheus.enable = true;
      openFirewall = true;
    };

  monitored = with' {
    monitoring = {
      prometheus.enable = true;
      grafana.enable = true;
    };
  };

  nginx =
    { pkgs, ... }:
    {
      imports = [ (with' { proxy.nginx.enable = true; instances = 2; webPackage = pkgs.tenon-web; }) ];
      # For the machine's other sites.
      services.nginx.recommendedProxySettings = true;
      security.acme = {
        acceptTerms = true;
        defaults.email = "admin@example.org";
      };
    };

  mail-relay = with' {
    mail.smtp = {
      host = "mail.example.org";
      username = "tenon";
    };
    secrets.smtpPasswordFile = "/run/secrets/smtp-password";
  };

  external-database = with' {
    database = {
      createLocally = false;
      host = "db.example.org";
      caFile = "/etc/ssl/certs/ca-certificates.crt";
    };
    secrets.databasePasswordFile = "/run/secrets/database-password";
  };

  database-by-url = with' {
    database.createLocally = false;
    secrets.databaseUrlFile = "/run/secrets/database-url";
  };

  remote-redis = with' {
    redis.createLocally = false;
    secrets.redisUrlFile = "/run/secrets/redis-url";
  };

  redis-queue = with' { redis.queue = true; };

  remote-redis-queue = with' {
    redis = {
      createLocally = false;
      queue = true;
    };
    secrets.redisUrlFile = "/run/secrets/redis-url";
  };

  no-redis = with' { redis.enable = false; };

  no-proxy.services.tenon = {
    enable = true;
    settings.public_url = "https://tenon.example.org";
  };

  # A machine that serves for a proxy elsewhere, and one that only works.
  api-only.services.tenon = {
    enable = true;
    settings = {
      public_url = "https://tenon.example.org";
      server.trusted_proxies = [ "10.0.0.1" ];
    };
    listen.address = "10.0.0.5";
    instances = 2;
    workers = { };
    scheduler.enable = false;
    database.createLocally = false;
    redis.createLocally = false;
    secrets = {
      databaseUrlFile = "/run/secrets/database-url";
      redisUrlFile = "/run/secrets/redis-url";
      signingKeysFile = "/run/secrets/signing-keys";
    };
  };
  workers-only.services.tenon = {
    enable = true;
    instances = 0;
    settings.public_url = "https://tenon.example.org";
    database.createLocally = false;
    redis.createLocally = false;
    secrets = {
      databaseUrlFile = "/run/secrets/database-url";
      redisUrlFile = "/run/secrets/redis-url";
      signingKeysFile = "/run/secrets/signing-keys";
    };
  };

  encrypted-without-a-key = with' {
    backup.recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
  };

  # Further back than files are kept by themselves.
  point-in-time = with' {
    backup.pointInTime.enable = true;
    backup.pointInTime.days = 60;
  };

  no-backup = with' { backup.enable = false; };

  # Of an authority that is asked for all names of a domain.
  shared-certificate = with' { proxy.useACMEHost = "example.org"; };
  shared-certificate-nginx = with' {
    proxy.nginx.enable = true;
    proxy.useACMEHost = "example.org";
  };

  # A Postgres of this machine that somebody else has set up.
  database-by-socket =
    { ... }:
    {
      imports = [
        (with' {
          database = {
            createLocally = false;
            host = "/run/postgresql";
            name = "other";
          };
        })
      ];
      services.postgresql.enable = true;
    };

  ipv6.services.tenon = {
    enable = true;
    settings.public_url = "https://tenon.example.org";
    listen.address = "::1";
    monitoring.address = "[::1]";
    database.createLocally = false;
    database.host = "2001:db8::7";
  };

  first-administrator = with' {
    initialAdmin = {
      email = "ada@example.org";
      name = "Ada Lovelace";
      passwordFile = "/run/secrets/initial-admin";
    };
  };

  # What an administrator says of a unit, without force.
  adjusted =
    { ... }:
    {
      imports = [
        (with' {
          resources.postgres = {
            cpu = 2;
            memory = "4G";
          };
        })
      ];
      systemd.services.tenon.serviceConfig.ProtectHostname = false;
    };

  # Disks of our data and others.
  several-disks =
    { ... }:
    {
      imports = [
        (with' {
          monitoring.prometheus.enable = true;
          resources.postgres.cpu = 2;
        })
      ];
      fileSystems = {
        "/" = { };
        "/boot" = { };
        "/var/lib/postgresql" = { };
        "/var/backup" = { };
        "/var/backup/tenon-of-others" = { };
        "/home" = { };
      };
    };

  state-elsewhere = with' { stateDir = "/srv/tenon"; };
}
