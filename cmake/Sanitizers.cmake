if(HIGGS_SANITIZER STREQUAL "address")
  # AddressSanitizer itself sees an access past an object, and `vptr` alone is a sixth of what compiling costs here. The fuzz
  # targets have both.
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
