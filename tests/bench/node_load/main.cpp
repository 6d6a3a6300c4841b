// node_load: see load.h. Exit status 0: all was answered well; 1: not all; 2: usage.
#include <exception>
#include <iostream>

#include "node_load/load.h"
#include "runtime/log.h"
#include "runtime/process.h"

int main(int argc, char** argv) {
  using namespace higgs;
  int status = 0;
  const auto options = node_load::parse_options(argc, argv, status);
  if (!options) return status;
  runtime::log::configure({runtime::log::Level::kError, runtime::log::Format::kText, "node_load"});
  runtime::raise_file_limit();
  try {
    return node_load::Load(*options).run() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "node_load: " << error.what() << "\n";
    return 1;
  }
}
