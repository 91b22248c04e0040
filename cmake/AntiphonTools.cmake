# ccache and mold if they are there; warnings.
find_program(ANTIPHON_CCACHE ccache)
if(ANTIPHON_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${ANTIPHON_CCACHE})
  # Precompiled headers need these to be cacheable.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${ANTIPHON_CCACHE})
endif()
find_program(ANTIPHON_MOLD mold)
if(ANTIPHON_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter)
# GCC's own report of precompiled headers that ccache needs to see.
add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
if(ANTIPHON_WERROR)
  add_compile_options(-Werror)
endif()
