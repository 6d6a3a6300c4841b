include(GoogleTest)

# higgs_module(NAME [PCH core|asio] [DEPS target…] [TOGETHER FILTER])
#
# A library higgs::NAME of every source in this folder, and a test program NAME_test of every *_test.cpp beside them.
# TOGETHER: these tests run in one process, since they share something that is costly to start.
# `platform`, `testing` and similar sub-folders are taken along. Files named *_fuzz.cpp belong to tests/fuzz.
function(higgs_module name)
  cmake_parse_arguments(ARG "" "PCH;TOGETHER" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|_bench|/main)\\.cpp$")

  if(NOT sources)
    add_library(higgs_${name} INTERFACE)
    add_library(higgs::${name} ALIAS higgs_${name})
    target_include_directories(higgs_${name} INTERFACE ${CMAKE_SOURCE_DIR}/libs ${CMAKE_SOURCE_DIR})
    target_link_libraries(higgs_${name} INTERFACE ${ARG_DEPS})
    return()
  endif()
  add_library(higgs_${name} STATIC ${sources})
  add_library(higgs::${name} ALIAS higgs_${name})
  target_include_directories(higgs_${name} PUBLIC ${CMAKE_SOURCE_DIR}/libs ${CMAKE_SOURCE_DIR})
  target_link_libraries(higgs_${name} PUBLIC ${ARG_DEPS})
  set_target_properties(higgs_${name} PROPERTIES LINKER_LANGUAGE CXX)
  higgs_precompile(higgs_${name} "${ARG_PCH}" "")
  # Each header must compile alone: `ninja all_verify_interface_header_sets`.
  target_sources(higgs_${name} INTERFACE FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${headers})
  set_target_properties(higgs_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

  if(tests AND NOT HIGGS_BUILD_FUZZERS)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE higgs_${name} GTest::gmock GTest::gtest GTest::gtest_main ${ARG_TEST_DEPS})
    higgs_precompile(${name}_test "${ARG_PCH}" "<gtest/gtest.h>")
    if(ARG_TOGETHER)
      set(apart TEST_FILTER "-${ARG_TOGETHER}")
      add_test(NAME ${name}.together COMMAND ${name}_test "--gtest_filter=${ARG_TOGETHER}")
      set_tests_properties(${name}.together PROPERTIES LABELS unit TIMEOUT 600)
    endif()
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}." NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 ${apart}
      PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()

# higgs_program(NAME LIBRARY): main.cpp of this folder, linked to the library made of the rest.
function(higgs_program name library)
  if(HIGGS_BUILD_FUZZERS OR NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
    return()
  endif()
  add_executable(${name} ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
  target_link_libraries(${name} PRIVATE ${library})
endfunction()

function(higgs_precompile target kind extra)
  set(core <algorithm> <array> <chrono> <cstddef> <cstdint> <cstring> <functional> <map> <memory> <optional> <span>
      <string> <string_view> <unordered_map> <utility> <variant> <vector> <boost/system/result.hpp>)
  set(asio <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp>
      <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp> <boost/asio/detached.hpp> <nlohmann/json.hpp> <fmt/format.h>)
  if(kind STREQUAL "asio")
    target_precompile_headers(${target} PRIVATE ${core} ${asio} ${extra})
  else()
    target_precompile_headers(${target} PRIVATE ${core} ${extra})
  endif()
endfunction()
