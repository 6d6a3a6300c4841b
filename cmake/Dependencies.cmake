find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS url)
find_package(OpenSSL 3.0 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(SQLiteCpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
find_package(ZLIB REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
pkg_check_modules(pqxx REQUIRED IMPORTED_TARGET libpqxx libpq)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(argon2 REQUIRED IMPORTED_TARGET libargon2)
pkg_check_modules(oath REQUIRED IMPORTED_TARGET liboath)
pkg_check_modules(mnl REQUIRED IMPORTED_TARGET libmnl)
pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
if(HIGGS_BUILD_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# libipsec-mb has no pkg-config file in Debian 12.
find_library(IPSEC_MB_LIBRARY IPSec_MB REQUIRED)
find_path(IPSEC_MB_INCLUDE_DIR intel-ipsec-mb.h REQUIRED)
add_library(higgs_ipsec_mb INTERFACE)
target_link_libraries(higgs_ipsec_mb INTERFACE ${IPSEC_MB_LIBRARY})
target_include_directories(higgs_ipsec_mb SYSTEM INTERFACE ${IPSEC_MB_INCLUDE_DIR})

# Debian's own interpreter: the packaged Python modules are there and not in others that PATH may hold first.
set(HIGGS_PYTHON /usr/bin/python3)

# Asio and Beast are compiled once, in higgs::runtime, not in every source file.
add_library(higgs_asio INTERFACE)
target_link_libraries(higgs_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(higgs_asio INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_BEAST_SEPARATE_COMPILATION)

# libnatpmp has no pkg-config file in Debian 12, and miniupnpc is treated alike.
find_library(NATPMP_LIBRARY natpmp REQUIRED)
find_path(NATPMP_INCLUDE_DIR natpmp.h REQUIRED)
find_library(MINIUPNPC_LIBRARY miniupnpc REQUIRED)
find_path(MINIUPNPC_INCLUDE_DIR miniupnpc/miniupnpc.h REQUIRED)
add_library(higgs_port_mapping INTERFACE)
target_link_libraries(higgs_port_mapping INTERFACE ${NATPMP_LIBRARY} ${MINIUPNPC_LIBRARY})
target_include_directories(higgs_port_mapping SYSTEM INTERFACE ${NATPMP_INCLUDE_DIR} ${MINIUPNPC_INCLUDE_DIR})
