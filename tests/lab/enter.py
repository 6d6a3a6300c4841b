"""Moves this process into namespaces of its own, so that nothing it does can outlive it or touch the host."""
import os
import shutil
import subprocess
import sys

MARK = "HIGGS_LAB_INSIDE"
LAB_DIR = "/run/lab"  # a private tmpfs once inside


class CannotEnter(Exception):
    """This host cannot hold a laboratory; the text says what is missing and how to get it."""


def enter():
    """Returns only inside: in a private mount, network and process namespace, with LAB_DIR on a tmpfs of its own.

    As root this needs nothing; as an ordinary user it needs user namespaces. When the outermost process ends, however
    it ends, the kernel kills everything inside, and mounts, interfaces and rules go with their namespaces.
    """
    if os.environ.get(MARK) == "1":
        del os.environ[MARK]
        _prepare()
        return
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    _check(command)
    sys.stdout.flush()
    os.execvpe("unshare", command + [sys.executable, *sys.orig_argv[1:]], {**os.environ, MARK: "1"})


def _check(command):
    missing = [tool for tool in ("unshare", "nsenter", "ip", "nft", "iptables", "conntrack", "ss", "ping", "curl") if not _which(tool)]
    if missing:
        raise CannotEnter(f"programs missing: {', '.join(missing)}. Install them with: sudo scripts/install-deps")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise CannotEnter(
            "/dev/net/tun cannot be opened by this user, and tunnels need it. Run as root, or let users open it: "
            "sudo sh -c 'mkdir -p /dev/net; [ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200; chmod 0666 /dev/net/tun'")
    probe = subprocess.run(command + ["true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if probe.returncode != 0:
        raise CannotEnter(
            f"namespaces are not allowed here ({probe.stderr.strip()}). Run as root, or allow user namespaces: "
            "sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
            "kernel.apparmor_restrict_unprivileged_userns=0 (those of them that this kernel knows); "
            "in a container: --privileged")


def _which(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _prepare():
    if os.getpid() == 1:
        _reap_until_done()
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "lab", "/run"], check=True)
    os.makedirs(LAB_DIR)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _reap_until_done():
    """The first process of a process namespace inherits every orphan: a small one waits for them, the work goes on in a child."""
    child = os.fork()
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
