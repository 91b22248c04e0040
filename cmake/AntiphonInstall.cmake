# cmake --install gives a package: find_package(antiphon REQUIRED) offers antiphon::core and antiphon_add_plugin.
include(CMakePackageConfigHelpers)
set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/antiphon)
set_target_properties(antiphon PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS antiphon LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS antiphon_seal RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/antiphon)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/core/antiphon DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*_test.h" EXCLUDE PATTERN "test_*.h" EXCLUDE PATTERN "testing.h" EXCLUDE PATTERN "kernels/cpu" EXCLUDE PATTERN "comm/wires.h" EXCLUDE)
if(EXISTS ${CMAKE_SOURCE_DIR}/configs)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/antiphon)
endif()
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/antiphonConfig.cmake.in ${CMAKE_BINARY_DIR}/antiphonConfig.cmake
  INSTALL_DESTINATION ${_package} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_LIBEXECDIR CMAKE_INSTALL_BINDIR)
# Plugins are matched exactly, so only the same minor version will do.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/antiphonConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/antiphonConfig.cmake ${CMAKE_BINARY_DIR}/antiphonConfigVersion.cmake
  ${CMAKE_SOURCE_DIR}/cmake/AntiphonTorch.cmake ${CMAKE_SOURCE_DIR}/cmake/AntiphonPlugin.cmake
  ${CMAKE_SOURCE_DIR}/cmake/plugin.map ${CMAKE_SOURCE_DIR}/cmake/check_exports.cmake
  ${CMAKE_SOURCE_DIR}/cmake/check_schema.cmake DESTINATION ${_package})
