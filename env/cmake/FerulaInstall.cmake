# `cmake --install build --prefix DIR`: the program, its documents and its modulefiles. What holds the prefix (the
# modulefiles) or comes from the program's own tables (man pages, completion) is written while it is installed.
include(GNUInstallDirs)

install(TARGETS ferula RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET ferula_cuda)
  install(TARGETS ferula_cuda LIBRARY DESTINATION lib)  # where the program looks: beside itself and in ../lib
endif()
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/ferula)
install(FILES env/prometheus.sh env/spack.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/ferula/env)
if(EXISTS ${CMAKE_SOURCE_DIR}/slurm)
  install(DIRECTORY slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/ferula)
endif()

install(CODE "set(ferula_source \"${CMAKE_SOURCE_DIR}\")
set(ferula_program \"$<TARGET_FILE:ferula>\")
set(version \"${PROJECT_VERSION}\")
set(bindir \"${CMAKE_INSTALL_BINDIR}\")
set(datadir \"${CMAKE_INSTALL_DATADIR}\")
set(mandir \"${CMAKE_INSTALL_MANDIR}\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/env/cmake/InstallDocuments.cmake)
