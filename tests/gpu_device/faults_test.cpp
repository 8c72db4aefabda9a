// Without a GPU: what is said when driver, memory or a launch fail, over a CUDA runtime that is made up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/cuda/cuda_device.hpp"
#include "device/cuda/cuda_stream.hpp"
#include "device/cuda/visible_gpus.hpp"
#include "fake_cuda.hpp"
#include "ops/cuda/launch.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using gpu_test::fake_cuda;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

class CudaFaults : public testing::Test {
 protected:
  CudaFaults() { fake_cuda() = {}; }
  ~CudaFaults() override { fake_cuda().fails.clear(); }
  MemoryLedger ledger_{"More ranks need less a rank"};
};

TEST_F(CudaFaults, ADriverThatIsMissingOrTooOldIsToldWithWhatToDo) {
  fake_cuda().fails["cudaGetDeviceCount"] = cudaErrorInsufficientDriver;

  EXPECT_THAT(message_of<DeviceError>([] { visible_gpus(); }),
              AllOf(HasSubstr("looking for GPUs"), HasSubstr("nvidia-smi"), HasSubstr("driver up to date"),
                    HasSubstr("device = \"cpu\"")));
}

TEST_F(CudaFaults, NoVisibleGpuIsAnEmptyList) {
  EXPECT_EQ(visible_gpus().size(), 1u);
  fake_cuda().fails["cudaGetDeviceCount"] = cudaErrorNoDevice;
  EXPECT_TRUE(visible_gpus().empty());
}

TEST_F(CudaFaults, AGpuThatCannotBeUsedIsNamed) {
  fake_cuda().fails["cudaFree"] = cudaErrorNoKernelImageForDevice;

  EXPECT_THAT(message_of<DeviceError>([&] { make_cuda_device(0, ledger_); }),
              AllOf(HasSubstr("cuda:0 (Imaginary 9)"), HasSubstr("context"), HasSubstr("FERULA_CUDA_ARCHITECTURES")));
}

TEST_F(CudaFaults, AFullGpuSaysWhatWasAskedWhatIsHeldAndWhatHelps) {
  const std::unique_ptr<Device> device = make_cuda_device(0, ledger_);
  const Buffer parameters = device->allocate(std::int64_t{40} << 20, MemoryKind::parameters);

  const std::string words =
      message_of<CapacityError>([&] { device->allocate(std::int64_t{30} << 20, MemoryKind::activations); });

  EXPECT_THAT(words, AllOf(HasSubstr("out of memory on cuda:0: asked for 30 MiB of activations"),
                           HasSubstr("parameters 40 MiB"), HasSubstr("64 MiB"), HasSubstr("24 MiB are free"),
                           HasSubstr("More ranks need less a rank")));
  EXPECT_EQ(CapacityError(words).code(), ExitCode::does_not_fit);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // the next launch does not find it
  EXPECT_EQ(ledger_.current_bytes(), std::int64_t{40} << 20);
  EXPECT_EQ(device->allocate(1 << 20, MemoryKind::activations).bytes(), 1 << 20);
}

TEST_F(CudaFaults, PinnedMemoryThatIsNotToBeHadIsNoDifferentError) {
  const std::unique_ptr<Device> device = make_cuda_device(0, ledger_);
  fake_cuda().fails["cudaHostAlloc"] = cudaErrorMemoryAllocation;

  EXPECT_THAT(message_of<CapacityError>([&] { device->allocate_shared(1 << 20, MemoryKind::buffers); }),
              HasSubstr("asked for 1 MiB of buffers"));
}

TEST_F(CudaFaults, AFailingLaunchNamesKernelGpuAndRemedy) {
  fake_cuda().last = cudaErrorLaunchFailure;

  EXPECT_THAT(message_of<DeviceError>([] { cuda::check_launch("norm_backward"); }),
              AllOf(HasSubstr("cuda:0 (Imaginary 9): launch of norm_backward: words of the runtime"),
                    HasSubstr("CUDA_LAUNCH_BLOCKING=1")));
  EXPECT_NO_THROW(cuda::check_launch("norm_backward"));
}

TEST_F(CudaFaults, AKernelThatFailsIsToldByWhoeverWaitsForItsStream) {
  StreamFault of_stream, of_other;
  CudaStream stream(0, "compute", of_stream), other(0, "communication", of_other);
  other.wait(stream.record());
  fake_cuda().fails["cudaStreamSynchronize"] = cudaErrorIllegalAddress;

  EXPECT_THAT(message_of<DeviceError>([&] { stream.synchronize(); }), HasSubstr("the work of stream compute"));
  EXPECT_THAT(message_of<DeviceError>([&] { other.synchronize(); }), HasSubstr("the work of stream communication"));
}

TEST_F(CudaFaults, AMemoryFaultTellsTheAdministrator) {
  fake_cuda().last = cudaErrorECCUncorrectable;

  EXPECT_THAT(message_of<DeviceError>([] { cuda::check_launch("add"); }), HasSubstr("tell the administrator"));
}

TEST_F(CudaFaults, WorkThatWasEndedFromOutsideIsAnErrorOfItsStreamAndOfThoseThatWaitedForIt) {
  StreamFault fault, of_compute, of_apart;
  CudaStream communication(0, "communication", fault), compute(0, "compute", of_compute), apart(0, "apart", of_apart);
  compute.wait(communication.record());
  communication.fault().set(std::make_exception_ptr(CommError("all_gather has failed")));
  communication.fault().set(std::make_exception_ptr(CommError("an echo")));

  for (CudaStream* stream : {&communication, &compute}) {
    EXPECT_EQ(message_of<CommError>([&] { stream->synchronize(); }), "all_gather has failed");
    EXPECT_EQ(message_of<CommError>([&] { stream->native(); }), "all_gather has failed");
  }
  EXPECT_NO_THROW(apart.synchronize());
}

}  // namespace
}  // namespace ferula
