add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
                    -Woverloaded-virtual -Wunused -Wformat=2 -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these falsely inside the standard library and coroutine frames once inlined.
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow
                      -Wno-stringop-overread -Wno-dangling-pointer -Wno-mismatched-new-delete
                      $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()
# The file offsets are what hiredis wants; with them everywhere, precompiled headers fit everywhere.
add_compile_options(-fstack-protector-strong -D_GLIBCXX_ASSERTIONS -D_FILE_OFFSET_BITS=64)
add_link_options(-Wl,-z,relro,-z,now)
