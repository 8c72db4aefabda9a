// What the processor of this machine can do, for settings that are "auto".
#pragma once

namespace ferula {

/// Whether matrix products of bf16 run on instructions of their own; elsewhere they are computed in f32, as fast as
/// f32.
bool cpu_computes_bf16();

}  // namespace ferula
