if(HIGGS_SANITIZER STREQUAL "address")
  # AddressSanitizer itself sees an access through a null pointer or past an object. With `vptr` every call costs as much to
  # compile as the rest of its statement; the fuzz targets have it.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr,object-size -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(HIGGS_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -Wno-tsan)
  add_link_options(-fsanitize=thread)
elseif(HIGGS_SANITIZER)
  message(FATAL_ERROR "HIGGS_SANITIZER is '${HIGGS_SANITIZER}'; it may be 'address' or 'thread'")
endif()

if(HIGGS_BUILD_FUZZERS)
  # clang 14 cannot assemble the signatures that `function` puts before coroutines.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=function -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
