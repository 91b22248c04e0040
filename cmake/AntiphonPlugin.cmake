# antiphon_add_plugin(NAME KIND encoder VERSION 0.1.0 [DOC "…"] [PROVIDES encoder:dinov2 …] SOURCES …
#                     [LIBRARIES …] [TESTS …] [READS dinov2 …] [NOT_INSTALLED] [NO_PCH])
# builds NAME.so and its sidecar NAME.toml, which holds the hash of the .so, into ${ANTIPHON_PLUGIN_OUTPUT_DIR} (default: <build>/plugins). The target
# is plugin_NAME; its sources are compiled once, in the object library plugin_NAME_objects, which the unit tests
# (TESTS, Catch2) link too. PROVIDES defaults to KIND:NAME. READS names
# the model_types of config.json files that KIND:NAME reads, so that whole models find it. NO_PCH is for sources without
# LibTorch.
# The same in this tree and from the installed package.
include(GNUInstallDirs)
find_file(ANTIPHON_MANIFEST_H antiphon/plugin/manifest.h NO_CACHE REQUIRED NO_DEFAULT_PATH
  PATHS ${CMAKE_CURRENT_LIST_DIR}/../core ${ANTIPHON_INCLUDE_DIR})
file(STRINGS ${ANTIPHON_MANIFEST_H} _line REGEX "define ANTIPHON_PLUGIN_ABI ")
string(REGEX REPLACE "[^0-9]" "" ANTIPHON_PLUGIN_ABI "${_line}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ANTIPHON_MANIFEST_H})  # sidecars are written from it

# What ANTIPHON_BUILD_TYPE and ANTIPHON_COMPILER in manifest.h will be, from the flags of this build.
function(antiphon_build_identity COMPILER BUILD)
  string(REGEX MATCH "^[0-9]+" major "${CMAKE_CXX_COMPILER_VERSION}")
  string(TOLOWER "${CMAKE_CXX_COMPILER_ID}" id)
  string(REPLACE "gnu" "gcc" id "${id}")
  set(${COMPILER} "${id} ${major}" PARENT_SCOPE)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  get_directory_property(options COMPILE_OPTIONS)
  set(flags "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}} ${options}")
  if(flags MATCHES "-fsanitize=[a-z,]*address")
    set(${BUILD} asan PARENT_SCOPE)
  elseif(flags MATCHES "-DNDEBUG")
    set(${BUILD} release PARENT_SCOPE)
  else()
    set(${BUILD} debug PARENT_SCOPE)
  endif()
endfunction()

function(antiphon_write_sidecar FILE NAME VERSION PROVIDES READS DOC)
  antiphon_build_identity(compiler build)
  list(JOIN PROVIDES "\", \"" provides)
  set(reads "")
  if(READS)
    list(JOIN READS "\", \"" reads)
    set(reads "reads = [\"${reads}\"]\n")
  endif()
  string(REPLACE "\\" "\\\\" doc "${DOC}")
  string(REPLACE "\"" "\\\"" doc "${doc}")
  file(CONFIGURE OUTPUT ${FILE} @ONLY CONTENT [[name = "@NAME@"
version = "@VERSION@"
abi = @ANTIPHON_PLUGIN_ABI@
torch = "@ANTIPHON_TORCH_VERSION@"
compiler = "@compiler@"
cxx_abi = "1"
build = "@build@"
provides = ["@provides@"]
@reads@doc = "@doc@"
]])
endfunction()

# The sidecar gets the hash of the .so when that is linked, and again when an installation has changed its run path.
function(antiphon_seal_plugin NAME FOLDER SIDECAR)
  if(TARGET antiphon_seal)
    add_dependencies(plugin_${NAME} antiphon_seal)
  endif()
  add_custom_command(TARGET plugin_${NAME} POST_BUILD VERBATIM
    COMMAND ${ANTIPHON_SEAL} ${FOLDER}/${NAME}.so ${SIDECAR} BYPRODUCTS ${FOLDER}/${NAME}.toml)
endfunction()

function(antiphon_seal_installed NAME)
  set(so "\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/antiphon/plugins/${NAME}.so")
  install(CODE "execute_process(COMMAND \"${ANTIPHON_SEAL}\" \"${so}\" COMMAND_ERROR_IS_FATAL ANY)")
endfunction()

function(antiphon_plugin_precompiled_header TARGET SOURCES)
  list(LENGTH SOURCES count)
  if(TARGET antiphon_torch_pch)
    target_precompile_headers(${TARGET} REUSE_FROM antiphon_torch_pch)
  elseif(count GREATER 1)
    target_precompile_headers(${TARGET} PRIVATE <ATen/ATen.h>)
  endif()
endfunction()

function(antiphon_plugin_conformance NAME)
  set(program $<TARGET_FILE:antiphon_program>)
  if(ANTIPHON_PROGRAM)  # the installed one
    set(program ${ANTIPHON_PROGRAM})
  endif()
  set(options "")
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/conformance.toml)
    set(options --options ${CMAKE_CURRENT_SOURCE_DIR}/conformance.toml)
  endif()
  file(GLOB data ${CMAKE_CURRENT_SOURCE_DIR}/conformance_data.*)
  if(data)
    list(APPEND options --data ${data})
  endif()
  add_test(NAME "plugin ${NAME}: conformance" COMMAND ${program} conformance $<TARGET_FILE:plugin_${NAME}> ${options})
  set(schema ${CMAKE_CURRENT_SOURCE_DIR}/schema.json)
  if(EXISTS ${schema})
    add_test(NAME "plugin ${NAME}: schema" COMMAND ${CMAKE_COMMAND} -DPROGRAM=${program} -DNAME=${NAME} -DSCHEMA=${schema}
      -DFOLDER=$<TARGET_FILE_DIR:plugin_${NAME}> -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_schema.cmake)
  endif()
endfunction()

function(antiphon_plugin_tests NAME)
  add_test(NAME "plugin ${NAME}: exports" COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DFILE=$<TARGET_FILE:plugin_${NAME}>
    -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_exports.cmake)
  if(NOT P_NOT_INSTALLED)
    antiphon_plugin_conformance(${NAME})
  endif()
  if(NOT ARGN)
    return()
  endif()
  find_package(Catch2 3 REQUIRED)
  add_executable(test_plugin_${NAME} ${ARGN})
  target_link_libraries(test_plugin_${NAME} PRIVATE plugin_${NAME}_objects Catch2::Catch2WithMain)
  if(COMMAND antiphon_shares_pch)
    antiphon_shares_pch(test_plugin_${NAME})
  endif()
  add_test(NAME "plugin ${NAME}" COMMAND test_plugin_${NAME})
  set_tests_properties("plugin ${NAME}" PROPERTIES SKIP_RETURN_CODE 4)  # Catch2's, if all cases are skipped
endfunction()

function(antiphon_add_plugin NAME)
  cmake_parse_arguments(P "NOT_INSTALLED;NO_PCH" "KIND;VERSION;DOC" "PROVIDES;SOURCES;LIBRARIES;TESTS;READS" ${ARGN})
  if(P_UNPARSED_ARGUMENTS OR NOT P_KIND OR NOT P_VERSION OR NOT P_SOURCES)
    message(FATAL_ERROR "antiphon_add_plugin(${NAME} …) needs KIND, VERSION and SOURCES; "
      "not understood: '${P_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT NAME MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "a plugin's name has small letters, digits and '_': '${NAME}'")
  endif()
  if(NOT P_PROVIDES)
    set(P_PROVIDES ${P_KIND}:${NAME})
  endif()
  if(P_READS)
    list(TRANSFORM P_READS PREPEND ${P_KIND}:${NAME}:)
  endif()
  set(folder ${CMAKE_BINARY_DIR}/plugins)
  if(ANTIPHON_PLUGIN_OUTPUT_DIR)
    set(folder ${ANTIPHON_PLUGIN_OUTPUT_DIR})
  endif()
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  set(sidecar ${CMAKE_CURRENT_BINARY_DIR}/${NAME}.sidecar.toml)

  add_library(plugin_${NAME}_objects OBJECT ${P_SOURCES})
  set_target_properties(plugin_${NAME}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_STANDARD 20
    CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(plugin_${NAME}_objects PUBLIC antiphon::core ${P_LIBRARIES})
  if(NOT P_NO_PCH)
    antiphon_plugin_precompiled_header(plugin_${NAME}_objects "${P_SOURCES}")
  endif()
  if(COMMAND antiphon_compiles_together)
    antiphon_compiles_together(plugin_${NAME}_objects 8)
  endif()

  add_library(plugin_${NAME} MODULE)
  target_link_libraries(plugin_${NAME} PRIVATE plugin_${NAME}_objects)
  target_link_options(plugin_${NAME} PRIVATE LINKER:--version-script=${map} LINKER:--no-undefined)
  set_target_properties(plugin_${NAME} PROPERTIES PREFIX "" OUTPUT_NAME ${NAME} SUFFIX .so NO_SONAME ON
    LINKER_LANGUAGE CXX LINK_DEPENDS "${map};${sidecar}" LIBRARY_OUTPUT_DIRECTORY ${folder} INSTALL_RPATH "$ORIGIN/../..")
  antiphon_write_sidecar(${sidecar} ${NAME} ${P_VERSION} "${P_PROVIDES}" "${P_READS}" "${P_DOC}")
  antiphon_seal_plugin(${NAME} ${folder} ${sidecar})

  if(NOT P_NOT_INSTALLED)
    install(TARGETS plugin_${NAME} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/antiphon/plugins)
    install(FILES ${folder}/${NAME}.toml DESTINATION ${CMAKE_INSTALL_LIBDIR}/antiphon/plugins)
    antiphon_seal_installed(${NAME})
  endif()
  antiphon_plugin_tests(${NAME} ${P_TESTS})
endfunction()
