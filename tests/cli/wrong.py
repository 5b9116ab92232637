"""Ways to write settings wrongly, and what is said of each."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wrong:
    """One way to be wrong, and what must be said of it."""

    says: str
    """Part of the line."""
    toml: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    """Of the folder of the cloud bridge."""
    where: str = "monitorpi.toml: "
    """What the line begins with, after any folder."""


BROKER = "[broker]\n"
CENTRE = "[broker.centre]\nhost = '10.0.0.1'\n"
FROM_FILE = {"MONITORPI_STATE_DIR": ""}
CLOUD = '[cloud-bridge]\nchannels = { traffic = 1 }\nwrite_keys = { traffic = "KEY" }\n'
TABLE = [
    # the file itself
    Wrong("not valid TOML", "site = "),
    Wrong("not valid TOML", "site = 'a'\nsite = 'b'"),
    Wrong("not valid TOML", "[capture\n"),
    Wrong("the table stands twice", "[cloud-bridge]\n[cloud_bridge]\n"),
    Wrong("not valid TOML: Exceeds the limit", BROKER + f"port = {'9' * 5000}"),
    # unknown keys and tables
    Wrong(r"'a\nb': unknown key; remove it", r'"a\nb" = 1'),
    Wrong(r"'\x1b[31m': unknown key; remove it", r'"\u001b[31m" = 1'),
    Wrong(f"{'x' * 64}...: unknown key", f"{'x' * 5000} = 1"),
    Wrong("sight: unknown key; did you mean 'site'?", "sight = 'x'"),
    Wrong("captrue: unknown key; did you mean 'capture'?", "[captrue]\n"),
    Wrong("capture.interface: unknown key; did you mean 'interfaces'?", "[capture]\ninterface=[]"),
    Wrong("broker.pasword: unknown key; did you mean 'password'?", BROKER + "pasword = 'x'"),
    Wrong("prober.target: unknown key; did you mean 'targets'?", "[prober]\ntarget = []"),
    Wrong("dashboard.adress: unknown key", "[dashboard]\nadress = ''"),
    Wrong("channel: unknown key; did you mean 'channels'?", "[cloud-bridge]\nchannel = {}"),
    # what a service cannot begin without
    Wrong("cloud-bridge.channels: missing; give a channel",
          "[cloud-bridge]\nwrite_keys = { traffic = 'KEY' }"),
    Wrong("cloud-bridge.channels: missing; give a channel", "[cloud-bridge]\ninterval_s = 60"),
    Wrong("cloud-bridge.channels: missing; give a channel", where="secret ",
          secrets={"cloud_bridge__write_keys__traffic": b"KEY"}),
    Wrong("notifier.destinations: missing; give a secret", "[notifier]\nmost_per_minute = 5"),
    # the site, the instance, the log
    Wrong("site: use a-z, 0-9 and inner -", "site = 'My LAN'"),
    Wrong("site: use a-z, 0-9 and inner -", "site = '-a'"),
    Wrong("site: input should be a valid string", "site = 5"),
    Wrong("instance: use a-z, 0-9 and inner -", "instance = 'a/b'"),
    Wrong("log_level: input should be 'debug'", "log_level = 'verbose'"),
    Wrong("trust_clock: input should be a valid boolean", "trust_clock = 'maybe'"),
    Wrong("broker: should be a table", "broker = 'here'"),
    Wrong("broker.centre.host: field required", "[broker.centre]"),
    Wrong("broker.centre.host: ", "[broker.centre]\nhost = 'mqtt://x'"),
    Wrong("broker.centre.username: give one line", CENTRE + r'username = "a\nb"'),
    Wrong("broker.centre.password: give one line", CENTRE + r'password = "a\nconnection b"'),
    Wrong("broker.centre.topics.0: ", CENTRE + r'topics = ["a/b\ntopic # in"]'),
    Wrong("broker.centre.tls_ca: ", CENTRE + "tls_ca = '/nonexistent.pem'"),
    Wrong("broker.centre: the broker is not `up`'s own", "[broker]\nown = false\n" + CENTRE),
    Wrong("state_dir: no folder; give the path of one", "state_dir = ''", FROM_FILE),
    Wrong("state_dir: no folder; give the path of one", r'state_dir = "/a\u0000b"', FROM_FILE),
    Wrong("state_dir: '~' is a home to shells alone", "state_dir = '~/x'", FROM_FILE),
    Wrong("heartbeat: '~' is a home to shells alone", "heartbeat = '~me/x'"),
    Wrong("state_dir: /etc/hostname is no folder", "state_dir = '/etc/hostname/x'", FROM_FILE),
    Wrong("state_dir: /etc/hostname is no folder",
          environment={"MONITORPI_STATE_DIR": "/etc/hostname"}, where="MONITORPI_STATE_DIR: "),
    Wrong("state_dir: File name too long", f"state_dir = '/{'a' * 300}'", FROM_FILE),
    Wrong("state_dir: /proc/x cannot be written: /proc", "state_dir = '/proc/x'", FROM_FILE),
    Wrong("state_dir: /sys/x/y cannot be written: /sys",
          environment={"MONITORPI_STATE_DIR": "/sys/x/y"}, where="MONITORPI_STATE_DIR: "),
    # the broker
    Wrong("give the host alone, without a scheme", BROKER + "host = 'mqtt://10.0.0.1'"),
    Wrong("give the host alone, '10.0.0.1'; the port is", BROKER + "host = '10.0.0.1:1883'"),
    Wrong("give the host alone, '::1'; the port is", BROKER + "host = '[::1]:1883'"),
    Wrong("broker.host: no host name or address", BROKER + "host = 'mqtt..lan'"),
    Wrong("broker.host: no host name or address", BROKER + f"host = '{'a' * 64}.lan'"),
    Wrong("broker.host: no host name or address", BROKER + f"host = '{'a.' * 127}lan'"),
    Wrong("broker.host: no host name or address", BROKER + "host = 'xn--'"),
    Wrong("broker.host: no host name or address", BROKER + "host = ''"),
    Wrong("broker.host: no host name or address", BROKER + "host = 'my broker'"),
    Wrong("broker.host: no host name or address", BROKER + "host = 'broker/path'"),
    Wrong("broker.port: input should be less than or equal to 65535", BROKER + "port = 65536"),
    Wrong("broker.port: input should be greater than or equal to 1", BROKER + "port = 0"),
    Wrong("broker.port: input should be a valid integer", BROKER + "port = 'mqtt'"),
    Wrong("broker.keepalive_s: input should be greater", BROKER + "keepalive_s = 1"),
    Wrong("broker.password: input should be a valid string", BROKER + "password = 5"),
    Wrong("cannot be read (No such file", BROKER + "tls_ca = '/nowhere/ca.pem'"),
    Wrong("a folder; give the PEM file", BROKER + "tls_ca = '/etc'"),
    Wrong("no PEM file", BROKER + "tls_ca = '/etc/hostname'"),
    Wrong("broker.host: no address: IPv4 has four numbers", BROKER + "host = '10.0.0.300'"),
    Wrong("broker.host: no address: IPv4 has four numbers", BROKER + "host = '010.0.0.1'"),
    Wrong("no file; give the PEM file", BROKER + "tls_ca = '/dev/null'"),
    # MAC addresses
    Wrong("pinned_macs.0: no MAC address: write it as", "[capture]\npinned_macs = ['printer']"),
    Wrong("ignore.0: no MAC address: write it as", "[detector]\nignore = ['xx:yy']"),
    Wrong("dhcp_servers.0: no MAC address", "[detector]\ndhcp_servers = ['192.168.1.1']"),
    Wrong("no MAC address: write it as", "[detector.devices.'b8:27'.syn-flood]\nfloor = 1"),
    Wrong(
        "stands there twice: put its rules together",
        "[detector.devices.'B8-27-EB-00-00-01'.syn-flood]\nfloor = 5\n"
        "[detector.devices.'b8:27:eb:00:00:01'.icmp-flood]\nfloor = 5",
    ),
    Wrong("prober.ignore.0: neither an IP address nor a MAC", "[prober]\nignore = ['xx:yy']"),
    Wrong("prober.pin.0: neither an IP address nor a MAC", "[prober]\npin = ['10.0.0.300']"),
    Wrong("mac: no MAC address", "[prober]\ntargets = [{ address = 'a', mac = 'b' }]"),
    # numbers, lists, choices
    Wrong("capture.engine: input should be 'auto', 'tcx', 'ebpf' or", "[capture]\nengine = 'xdp'"),
    Wrong("capture.max_macs: input should be", "[capture]\nmax_macs = 1"),
    Wrong("capture.interfaces", "[capture]\ninterfaces = ['a name that no interface has']"),
    Wrong("prober.targets: input should be a valid list", "[prober]\ntargets = '10.0.0.1'"),
    Wrong("prober.targets.0: write it as { address = '10.0.0.1' }",
          "[prober]\ntargets = ['10.0.0.1']"),
    Wrong("notifier.destinations.me.url: no Apprise URL: write it as in docs/notifier.md",
          "[notifier.destinations.me]\nurl = 'https//ntfy.sh/x'"),
    Wrong("prober.targets.0.address: field required", "[prober]\ntargets = [{ name = 'x' }]"),
    Wrong("prober.interval_s: input should be", "[prober]\ninterval_s = 0"),
    Wrong("prober.timeout_s: input should be", "[prober]\ntimeout_s = nan"),
    Wrong("dashboard.port: input should be", "[dashboard]\nport = 70000"),
    Wrong("password: missing", "[dashboard]\nlisten = '0.0.0.0'"),
    Wrong("dashboard.listen: no host name or address", "[dashboard]\nlisten = '0.0.0.0/0'"),
    Wrong("dashboard.listen: give the host alone", "[dashboard]\nlisten = '0.0.0.0:80'"),
    Wrong("dashboard.listen: 192.0.2.1 is no address of this machine; give one that is",
          "[dashboard]\nlisten = '192.0.2.1'\npassword = 'x'"),
    Wrong("dashboard.listen: 2001:db8::1 is no address of this machine",
          "[dashboard]\nlisten = '2001:db8::1'\npassword = 'x'"),
    Wrong("dashboard.listen: no-such-host.invalid is no address of this machine",
          "[dashboard]\nlisten = 'no-such-host.invalid'\npassword = 'x'"),
    Wrong("history.listen: 192.0.2.1 is no address of this machine",
          environment={"MONITORPI_HISTORY__LISTEN": "192.0.2.1",
                       "MONITORPI_HISTORY__BEHIND_FENCE": "true"},
          where="MONITORPI_HISTORY__LISTEN: "),
    Wrong("interfaces.0: no name of an interface", "[capture]\ninterfaces = ['']"),
    Wrong(
        "'a+b' and 'a#b' would have one name in topics (a-b): rename one of them",
        "[capture]\ninterfaces = ['a+b', 'eth0', 'a#b']",
    ),
    Wrong("'eth0' stands there twice: once is enough", "[capture]\ninterfaces = ['eth0', 'eth0']"),
    Wrong("no name of an interface: 1 to 15 bytes", "[capture]\ninterfaces = ['éééééééé']"),
    Wrong("interfaces.0: no name of an interface", "[capture]\ninterfaces = ['..']"),
    Wrong("dashboard.listen: no address: IPv4", "[dashboard]\nlisten = '1.2.3'"),
    Wrong("dashboard.watch_url: port out of range", "[dashboard]\nwatch_url = 'http://a:99999'"),
    *(Wrong(f"prober.targets.0.address: {says}", f"[prober]\ntargets = [{{ address = '{one}' }}]")
      for one, says in (
          (" ", "no address of one host"),
          ("10.0.0.300", "no address: IPv4"),
          ("http://10.0.0.1/", "give the host alone"),
          ("10.0.0.1:80", "give the host alone"),
          ("10.0.0.0/24", "no address of one host"),
          ("0.0.0.0", "no address of one host"),
          ("224.0.0.1", "no address of one host"),
          ("ff02::1", "no address of one host"),
          ("255.255.255.255", "no address of one host"),
      )),
    Wrong("prober.targets.0.address: no host name", "[prober]\ntargets = [{ address = 'my nas' }]"),
    Wrong("flap_changes: 9 changes in 5 rounds can never be",
          "[prober]\nflap_changes = 9\nflap_rounds = 5"),
    Wrong("prober.source: no address: IPv4 has four", "[prober]\nsource = '192.168.1.300'"),
    Wrong("prober.probes: should be a number, not true or false", "[prober]\nprobes = true"),
    # who listens where
    Wrong("history.port: 9000 is broker.port too; give each a port of its own",
          "[broker]\nport = 9000\n[history]\nport = 9000"),
    Wrong("dashboard.port: 9000 is history.port too; give each a port of its own",
          "[dashboard]\nport = 9000\nlisten = '::'\npassword = 'x'\n[history]\nport = 9000"),
    Wrong("dashboard.port: 9000 is broker.port too", BROKER + "port = 9000",
          environment={"MONITORPI_DASHBOARD__PORT": "9000"}, where="MONITORPI_DASHBOARD__PORT: "),
    Wrong("dashboard.hosts.0: give the host alone", "[dashboard]\nhosts = ['http://pi.lan']"),
    # who is told
    Wrong("notifier.time_zone: no time zone: write one such as 'Europe/Berlin'",
          "[notifier]\ntime_zone = 'Europe/Berlim'"),
    Wrong("notifier.time_zone: no time zone", "[notifier]\ntime_zone = 'Europe'"),
    Wrong("rules.0: there is no such rule; did you mean 'syn-flood'?",
          "[notifier.destinations.me]\nurl = 'ntfy://x'\nrules = ['syn_flood']"),
    Wrong("rules.1: there is no such rule; did you mean 'new-device'?",
          "[notifier.destinations.me]\nurl = 'ntfy://x'\nrules = ['*', '!new-devices']"),
    Wrong("rules.0: there is no such rule; docs/alerts.md lists them",
          "[[notifier.maintenance]]\nwhen = '02:00-04:00'\nrules = ['x*']"),
    Wrong("behind.router: neither an IP address nor a MAC", "[notifier.behind]\nrouter = []"),
    Wrong("10.0.0.1.0: neither an IP address nor a MAC",
          "[notifier.behind]\n'10.0.0.1' = ['10.0.0.256']"),
    Wrong("notifier.page: no http or https address: write it as http://HOST:PORT/",
          "[notifier]\npage = 'pi.lan:8080'"),
    Wrong("home_assistant.page: no http or https address", "[home-assistant]\npage = '/'"),
    Wrong("home_assistant.devices: write 'none', 'named', 'all' or a list of MAC",
          "[home-assistant]\ndevices = 'some'"),
    # rules
    Wrong("detector.rules: should be a table", "[detector]\nrules = []"),
    Wrong("there is no rule 'syn_flood'", "[detector.rules.syn_flood]\nfloor = 5"),
    Wrong("floor: input should be greater than 0", "[detector.rules.syn-flood]\nfloor = -1"),
    Wrong("unknown key; did you mean 'floor'?", "[detector.rules.syn-flood]\nfloors = 1"),
    Wrong("raise_m 5 of raise_n 3 windows can never be", "[detector.rules.syn-flood]\nraise_m = 5"),
    # clouds
    Wrong("the key of channel 'traffic' is missing", "[cloud-bridge]\nchannels = { traffic = 1 }"),
    Wrong("channels.traffic: input should be greater than or equal to 1",
          CLOUD.replace("= 1 }", "= -1 }")),
    Wrong("two names have one number", CLOUD.replace("= 1 }", "= 1, b = 1 }").replace(
        '"KEY" }', '"KEY", b = "K" }')),
    Wrong("is not an http or https address", CLOUD + "url = 'api.thingspeak.com'"),
    Wrong("plain http would show the key", CLOUD + "url = 'http://api.thingspeak.com'"),
    Wrong("interval_s: a free licence takes a row each", CLOUD + "interval_s = 5"),
    Wrong("cloud_bridge.ca_file: cannot be read (No such", CLOUD + "ca_file = '/nowhere'"),
    Wrong("knows no command 'reboot'", CLOUD + '[cloud-bridge.talkback]\nid = 1\nkey = "K"\n'
          '[cloud-bridge.talkback.commands.x]\nservice = "capture"\nname = "reboot"'),
    Wrong("input should be", CLOUD + '[cloud-bridge.talkback]\nid = 1\nkey = "K"\n'
          '[cloud-bridge.talkback.commands.x]\nservice = "capture"\nname = "watch"\n'
          "args = { seconds = -1 }"),
    Wrong("is not an http or https address", CLOUD + "url = 'https://[::1'"),
    Wrong("is not an http or https address", CLOUD + "url = 'https://a:99999'"),
    # the environment
    Wrong("unknown variable; did you mean 'MONITORPI_BROKER__HOST'?",
          environment={"MONITORPI_BROKERS__HOST": "x"}, where="MONITORPI_BROKERS__HOST: "),
    Wrong("unknown variable; did you mean 'MONITORPI_BROKER__HOST'?",
          environment={"MONITORPI_BROKER_HOST": "x"}, where="MONITORPI_BROKER_HOST: "),
    Wrong("unknown variable; did you mean 'MONITORPI_CLOUD_BRIDGE__CHANNELS'?",
          environment={"MONITORPI_CLOUD_BRIDGE_CHANNELS": "{}"}, where="MONITORPI_CLOUD"),
    Wrong("unknown variable; did you mean 'MONITORPI_SITE'?",
          environment={"MONITORPI_SIGHT": "home"}, where="MONITORPI_SIGHT: "),
    Wrong("unknown variable; remove it",
          environment={"MONITORPI_XYZ": "1"}, where="MONITORPI_XYZ: "),
    Wrong("stands there as MONITORPI_BROKER__HOST, too: remove one", environment={
        "MONITORPI_BROKER__HOST": "127.0.0.1", "MONITORPI_broker__host": "mqtt.lan",
    }, where="MONITORPI_broker__host: "),
    Wrong("write it as MONITORPI_CONFIG", environment={"monitorpi_config": "/etc/mine.toml"},
          where="monitorpi_config: "),
    Wrong("stands there as CLOUD_BRIDGE__TALKBACK__KEY, too: remove one", secrets={
        "CLOUD_BRIDGE__TALKBACK__KEY": b"A" * 16, "cloud_bridge__talkback__key": b"B" * 16,
    }, toml="[cloud-bridge]\nchannels = { traffic = 1 }", where="secret "),
    Wrong("there is no such folder; give an existing one",
          environment={"MONITORPI_SECRETS_DIR": "/nowhere"}, where="secrets directory /nowhere: "),
    Wrong("nested too deeply", environment={"MONITORPI_BROKER": "[" * 100_000},
          where="environment or secrets: "),
    Wrong("floor: input should be a valid number",
          environment={"MONITORPI_DETECTOR__RULES__syn-flood__floor": "abc"},
          where="MONITORPI_DETECTOR__RULES__syn-flood__floor: "),
    Wrong("broker: write it as JSON; one key of a table is MONITORPI_BROKER__KEY",
          environment={"MONITORPI_BROKER": "10.0.0.1"}, where="MONITORPI_BROKER: "),
    Wrong("broker.port: input should be", environment={"MONITORPI_BROKER__PORT": "many"},
          where="MONITORPI_BROKER__PORT: "),
    Wrong("broker.host: give the host alone", environment={"MONITORPI_BROKER__HOST": "tcp://b"},
          where="MONITORPI_BROKER__HOST: "),
    Wrong("broker.hosts: unknown key; did you mean 'host'?",
          environment={"MONITORPI_BROKER": '{"hosts": "a"}'}, where="MONITORPI_BROKER: "),
    Wrong("prober.targets: write it as JSON", environment={"MONITORPI_PROBER__TARGETS": "10.0.0.1"},
          where="MONITORPI_PROBER__TARGETS: "),
    # secrets
    Wrong("not UTF-8 text", secrets={"broker__password": b"\xff\xfe\0"}, where="secret "),
    Wrong("larger than 65536 bytes", secrets={"broker__password": b"x" * 70_000}, where="secret "),
    Wrong("cloud_bridge.write_keys.traffic: empty, or not all plain letters",
          "[cloud-bridge]\nchannels = { traffic = 1 }\n",
          secrets={"cloud_bridge__write_keys__traffic": "ключ".encode()}, where="secret "),
    Wrong("broker.pasword: unknown key; did you mean 'password'?",
          secrets={"broker__pasword": b"x"}, where="secret "),
]  # fmt: skip
"""More than 60 ways to be wrong."""
