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
  higgs_precompile(higgs_${name} ${ARG_PCH})
  higgs_compile_together(higgs_${name})
  # Each header must compile alone: `ninja all_verify_interface_header_sets`.
  target_sources(higgs_${name} INTERFACE FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${headers})
  set_target_properties(higgs_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

  if(tests AND NOT HIGGS_BUILD_FUZZERS)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE higgs_${name} GTest::gmock GTest::gtest GTest::gtest_main ${ARG_TEST_DEPS})
    higgs_test_options(${name}_test)
    higgs_precompile(${name}_test ${ARG_PCH})
    higgs_compile_together(${name}_test)
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

# Most of what a file costs to compile are the headers and templates that its neighbours use, too. So what a module's files
# define in their unnamed namespaces has names that none of its other files uses.
function(higgs_compile_together target)
  if(HIGGS_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
    # g++ says it of a class in an included file; these are included in one place only.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# higgs_precompile(TARGET core|asio): the headers that most files of such a module include, compiled once for all of them.
#
# GCC takes a precompiled header only into a file with the same flags, which libraries share, and tests share.
function(higgs_precompile target kind)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set(kind ${kind}_test)
  endif()
  target_precompile_headers(${target} REUSE_FROM higgs_precompiled_${kind})
endfunction()

# The code of tests is not optimised, and not all undefined behaviour is looked for in it, as it is in what they test: that
# would be nearly half of what compiling them costs.
function(higgs_test_options target)
  target_compile_options(${target} PRIVATE -O0)
  if(HIGGS_SANITIZER STREQUAL "address")
    target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment)
  endif()
endfunction()

function(higgs_precompiled_headers kind)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cpp CONTENT "")
  foreach(name higgs_precompiled_${kind} higgs_precompiled_${kind}_test)
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled.cpp)
    target_link_libraries(${name} PRIVATE nlohmann_json::nlohmann_json Boost::headers)
    target_precompile_headers(${name} PRIVATE <algorithm> <array> <chrono> <cstddef> <cstdint> <cstring> <functional> <map>
      <memory> <optional> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>
      <boost/system/result.hpp> <nlohmann/json.hpp>)
    if(kind STREQUAL "asio")
      target_link_libraries(${name} PRIVATE higgs_asio fmt::fmt)
      target_precompile_headers(${name} PRIVATE <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp>
        <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp> <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp>
        <boost/asio/detached.hpp> <fmt/format.h>)
    endif()
  endforeach()
  higgs_test_options(higgs_precompiled_${kind}_test)
  target_link_libraries(higgs_precompiled_${kind}_test PRIVATE GTest::gmock GTest::gtest)
  target_precompile_headers(higgs_precompiled_${kind}_test PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  # As an executable's sources are compiled.
  set_target_properties(higgs_precompiled_${kind}_test PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(higgs_precompiled_${kind}_test PRIVATE -fPIE)
endfunction()

foreach(kind core asio)
  higgs_precompiled_headers(${kind})
endforeach()
