# Runs in `cmake --install` (FerulaInstall.cmake sets the variables): man pages, completion scripts, modulefiles.
set(root "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(prefix "${CMAKE_INSTALL_PREFIX}")

function(run_ferula)
  execute_process(COMMAND ${ferula_program} ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "expected `${ferula_program} ${ARGN}` to end with 0, found ${code}\n${errors}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run_ferula(--man-pages ${root}/${mandir}/man1)
foreach(file bash:bash-completion/completions/ferula zsh:zsh/site-functions/_ferula
             fish:fish/vendor_completions.d/ferula.fish)
  string(REGEX MATCH "^([a-z]+):(.*)$" unused ${file})
  set(target ${root}/${datadir}/${CMAKE_MATCH_2})
  run_ferula(--completion ${CMAKE_MATCH_1})
  file(WRITE ${target} "${output}")
endforeach()

# Lmod takes VERSION.lua, Tcl modules VERSION, out of the same folder.
configure_file(${ferula_source}/modules/ferula.lua.in ${root}/modules/ferula/${version}.lua @ONLY)
configure_file(${ferula_source}/modules/ferula.tcl.in ${root}/modules/ferula/${version} @ONLY)
message(STATUS "Installed: ${root}/modules, for `module use ${prefix}/modules`")
