# The program as an OCI image: `tenon serve`, `worker`, `scheduler` and `migrate` by argument, configured by the environment.
{
  dockerTools,
  cacert,
  lib,
  tenon,
}:
dockerTools.buildLayeredImage {
  name = "tenon";
  tag = tenon.version;
  contents = [
    tenon
    cacert
    dockerTools.fakeNss
  ];
  extraCommands = ''
    mkdir -p data tmp
    chmod 1777 data tmp
  '';
  config = {
    Entrypoint = [ (lib.getExe tenon) ];
    Cmd = [ "serve" ];
    Env = [
      "TENON__DATA_DIR=/data"
      "TENON__ENVIRONMENT=production"
      # Where every kind of process answers its check.
      "TENON__METRICS__LISTEN=127.0.0.1:9464"
      "TENON__SERVER__LISTEN=0.0.0.0:8080"
    ];
    # In nanoseconds.
    Healthcheck = {
      Test = [ "CMD" (lib.getExe tenon) "health" ];
      Interval = 30 * 1000000000;
      Timeout = 10 * 1000000000;
      StartPeriod = 60 * 1000000000;
      Retries = 3;
    };
    ExposedPorts."8080/tcp" = { };
    User = "65534:65534";
    Volumes."/data" = { };
    WorkingDir = "/data";
  };
}
