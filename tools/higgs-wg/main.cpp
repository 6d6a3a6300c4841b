// higgs-wg: Higgs's WireGuard on an interface of its own, a drop-in for wireguard-go.
#include <csignal>
#include <cstdlib>
#include <iostream>

#include <fcntl.h>
#include <unistd.h>

#include "runtime/log.h"
#include "tools/higgs-wg/daemon.h"
#include "tools/higgs-wg/program.h"

using namespace higgs;

namespace {

constexpr std::string_view kUsage =
    "usage: higgs-wg [-f|--foreground] INTERFACE\n"
    "       higgs-wg --version\n\n"
    "Makes the WireGuard interface INTERFACE and serves /var/run/wireguard/INTERFACE.sock for wg(8),\n"
    "in the background unless told otherwise: -f, or WG_PROCESS_FOREGROUND=1 as wireguard-go has it. LOG_LEVEL is\n"
    "verbose, error (the default) or silent.\n"
    "For fault finding HIGGS_WG_WITHOUT names offloads not to use: tun, tun-udp, udp-segment, udp-gather, or all.\n\n"
    "Examples:\n"
    "  higgs-wg wg0 && wg setconf wg0 /etc/wireguard/wg0.conf && ip link set wg0 up\n"
    "  WG_QUICK_USERSPACE_IMPLEMENTATION=higgs-wg wg-quick up wg0\n";

runtime::log::Level level_from_environment() {
  const char* text = std::getenv("LOG_LEVEL");
  const std::string_view name = text == nullptr ? "" : text;
  if (name == "verbose" || name == "debug") return runtime::log::Level::kDebug;
  return name == "silent" ? runtime::log::Level::kOff : runtime::log::Level::kError;
}

int usage(std::ostream& out, int status) {
  out << kUsage;
  return status;
}

int run(const wg::Settings& settings, bool foreground) {
  // Blocked before anything starts, since the loop reads them from a descriptor.
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  wg::Daemon daemon;
  if (!foreground) daemon.fork();
  runtime::log::configure({level_from_environment(), runtime::log::Format::kText, "higgs-wg"});
  auto program = wg::Program::open(settings);
  if (!program) {
    std::cerr << "higgs-wg: " << settings.ifname << ": " << program.error().message() << "\n";
    return 1;
  }
  daemon.ready(std::getenv("LOG_LEVEL") != nullptr);
  return (*program)->run() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const char* in_foreground = std::getenv("WG_PROCESS_FOREGROUND");
  bool foreground = in_foreground != nullptr && std::string_view(in_foreground) == "1";
  wg::Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "-f" || argument == "--foreground")
      foreground = true;
    else if (argument == "-h" || argument == "--help")
      return usage(std::cout, 0);
    else if (argument == "--version")
      return (std::cout << "higgs-wg " HIGGS_VERSION "\n", 0);
    else if (argument.starts_with('-') || !settings.ifname.empty())
      return usage(std::cerr, 2);
    else
      settings.ifname = argument;
  }
  if (settings.ifname.empty()) return usage(std::cerr, 2);
  if (const char* without = std::getenv("HIGGS_WG_WITHOUT"); without != nullptr) {
    const auto offloads = wg::parse_without(without);
    if (!offloads) return usage(std::cerr, 2);
    settings.offloads = *offloads;
  }
  try {
    return run(settings, foreground);
  } catch (const std::exception& error) {
    std::cerr << "higgs-wg: " << error.what() << "\n";
    return 1;
  }
}
