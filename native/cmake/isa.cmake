# Compile flags of each ISA level. A level's folder may use its intrinsics freely: nothing
# in it runs unless the processor's features (or MOEBIUS_ISA) chose the level. The folders of
# other machines stay out of the build.
set(isa_x86 avx2 avx_vnni avx512 amx)
set(isa_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(isa_avx_vnni ${isa_avx2} -mavxvnni)
set(isa_avx512 ${isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 takes the deliberately undefined operands in its own AVX-512 header for a bug.
  list(APPEND isa_avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
endif()
if(MINGW)
  # GCC aligns the stack to 16 bytes on Windows but stores vectors there as if to 32
  # (GCC bug 54412): the assembler drops the assumption.
  foreach(level avx2 avx_vnni avx512)
    list(APPEND isa_${level} -Wa,-muse-unaligned-vector-move)
  endforeach()
endif()
set(isa_amx ${isa_avx512} -mamx-tile -mamx-int8)

set(isa_arm neon_base neon neon_i8mm neon_bf16)
set(isa_neon_base "")
set(isa_neon -march=armv8.2-a+dotprod)
set(isa_neon_i8mm -march=armv8.2-a+dotprod+i8mm)
set(isa_neon_bf16 -march=armv8.2-a+bf16)

# CMAKE_OSX_ARCHITECTURES decides on a Mac; a build for both at once has no levels.
set(isa_processor ${CMAKE_SYSTEM_PROCESSOR})
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  set(isa_processor ${CMAKE_OSX_ARCHITECTURES})
endif()
set(isa_levels "")
if(isa_processor MATCHES "^(x86_64|AMD64|amd64)$")
  set(isa_levels ${isa_x86})
  target_compile_definitions(moebius_engine PUBLIC MOEBIUS_X86_LEVELS)
  # The amx level over a software model of its registers exists for the tests alone.
  if(MOEBIUS_TESTS)
    set_source_files_properties(kernels/cpu/levels.cc kernels/cpu/cpu_table.cc PROPERTIES COMPILE_DEFINITIONS MOEBIUS_AMX_MODEL)
  endif()
elseif(isa_processor MATCHES "^(aarch64|arm64|ARM64)$")
  set(isa_levels ${isa_arm})
  target_compile_definitions(moebius_engine PUBLIC MOEBIUS_ARM_LEVELS)
endif()
foreach(level ${isa_x86} ${isa_arm})
  file(GLOB level_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/${level}/*.cc)
  if(level IN_LIST isa_levels)
    set_source_files_properties(${level_sources} PROPERTIES COMPILE_OPTIONS "${isa_${level}}")
  else()
    set_source_files_properties(${level_sources} PROPERTIES HEADER_FILE_ONLY TRUE)
  endif()
endforeach()
if(NOT MOEBIUS_TESTS)
  set_source_files_properties(kernels/cpu/amx/model_ops.cc PROPERTIES HEADER_FILE_ONLY TRUE)
endif()
