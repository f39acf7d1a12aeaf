# nginx in front, with a certificate of one's own.
{
  name = "nginx";

  nodes.machine =
    { pkgs, ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.proxy.caddy.internalAuthority = false;
      services.tenon.proxy.nginx = {
        enable = true;
        enableACME = false;
      };
      services.tenon.settings.rate_limits.session = "1000000/1m";
      services.tenon.initialAdmin = {
        email = "root@example.org";
        name = "Root of all";
        passwordFile = "/run/initial-admin";
      };
      systemd.tmpfiles.rules = [ "f /run/initial-admin 0400 root root - difference engine 2" ];
      services.nginx.virtualHosts."tenon.test" = {
        sslCertificate = "/var/lib/certificate/certificate.pem";
        sslCertificateKey = "/var/lib/certificate/key.pem";
      };
      systemd.services.certificate = {
        description = "Certificate of the test";
        wantedBy = [ "nginx.service" ];
        before = [ "nginx.service" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          # As whom nginx reads the key.
          User = "nginx";
          Group = "nginx";
          StateDirectory = "certificate";
          ExecStart = "${pkgs.openssl}/bin/openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=tenon.test -addext subjectAltName=DNS:tenon.test -out /var/lib/certificate/certificate.pem -keyout /var/lib/certificate/key.pem";
        };
      };
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    start_all()
    machine.wait_for_unit("tenon.service")
    machine.wait_for_unit("tenon-worker-default.service")
    machine.wait_for_unit("nginx.service")
    machine.wait_for_open_port(443)
    machine.succeed("cp /var/lib/certificate/certificate.pem /tmp/ca.crt")
    machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")

    with subtest("the first administrator was made as declared, and is made once"):
        machine.wait_for_unit("tenon-initial-admin.service")
        client(machine, "sign-in", "root")
        assert len(client(machine, "call", "root", "GET", "/users")["items"]) == 1
        machine.succeed("systemctl restart tenon-initial-admin.service")
        machine.succeed("journalctl -o cat -u tenon-initial-admin | grep 'There is an administrator'")
        assert sql(machine, "select count(*) from users").strip() == "1"

    with subtest("somebody joins"):
        client(machine, "join", "ada")
        project = client(machine, "project", "ada")
        place = f"/projects/{project['id']}"
        story = {"title": "Card", "status_id": project["statuses"][0]}
        client(machine, "call", "ada", "POST", f"{place}/stories", story)

    with subtest("a file that is larger than nginx likes by itself goes up and comes down"):
        digest = machine.succeed("head -c 5000000 /dev/urandom > /tmp/file && sha256sum /tmp/file").split()[0]
        file = client(machine, "upload", "ada", f"{place}/stories/1/attachments", "/tmp/file")
        assert client(machine, "download", "ada", f"{place}/stories/1/attachments/{file['id']}/content") == digest

    with subtest("a change arrives live"):
        in_background(machine, "ears", "listen", "ada", f"project:{project['id']}", "/tmp/frames")
        machine.wait_until_succeeds("grep subscribed /tmp/frames")
        client(machine, "call", "ada", "POST", f"{place}/stories", story)
        assert result(machine, "ears")[-1]["kind"] == "story.created"

    with subtest("plain HTTP is sent on"):
        machine.succeed("curl -sS -o /dev/null -w '%{redirect_url}' http://tenon.test/ | grep ^https://tenon.test/")

    with subtest("the API is restarted under load, and no request fails"):
        in_background(machine, "writers", "load", "ada", f"{place}/stories/1/comments", "--seconds", "8", "--posts")
        for _ in range(3):
            machine.succeed("systemctl restart tenon.service")
            machine.sleep(1)
        writes = result(machine, "writers")
        print(f"        {writes}")
        assert writes["failed"] == 0, writes
        assert int(sql(machine, "select count(*) from comments")) == writes["requests"]

    machine.shutdown()
  '';
}
