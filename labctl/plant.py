"""Plant: anything that answers a drive. The bench is one, and so is a set of twins; verifying a twin is asking both.

    measured = collect(bench.respond(excitation))
    promised = collect(TwinPlant({"leaky": twin}, station, generator=generator).respond(excitation))

This is the only module between the bench and torch, which it loads when a twin is asked.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labctl.bench.plan import driven_devices
from labctl.errors import PlantError
from labctl.excitation import Excitation
from labctl.provenance import utc_now
from labctl.recording import Block, Recording, RecordingHeader
from labctl.station import Device, Station

if TYPE_CHECKING:
    import torch

    from twins import AnyTwin


@runtime_checkable
class Plant(Protocol):
    """Anything that answers a drive."""

    def respond(self, excitation: Excitation) -> Generator[Block, None, Recording]:
        """Yield the response block by block, and return the recording of it all."""
        ...


def collect(blocks: Generator[Block, None, Recording]) -> Recording:
    """Drain a plant's answer, and give the recording: for notebooks and scripts."""
    try:
        while True:
            next(blocks)
    except StopIteration as finished:
        recording: Recording = finished.value
        return recording
    finally:
        blocks.close()


class TwinPlant:
    """Twins in the place of the devices of a station: same channels, same call, a fresh noise sample every time.

    Each trial starts from a history that was measured when the twin was fitted, so there is no preparation. Samples are
    as an instrument would record them, with the twins' measurement noise and the offsets of trials where they have
    such. An ensemble answers every trial by a member drawn at random. A drive or a condition beyond the range that a
    twin was fitted on is refused, unless check_range is False.

    conditions: set-points by channel, as Bench.set would have them, for twins that were fitted at several values.
    """

    def __init__(
        self,
        twins: Mapping[str, AnyTwin],
        station: Station,
        *,
        generator: torch.Generator,
        conditions: Mapping[str, float] | None = None,
        check_range: bool = True,
    ) -> None:
        self._twins = dict(twins)
        self._station = station
        self._generator = generator
        self._conditions = {name: float(value) for name, value in (conditions or {}).items()}
        self._check_range = check_range

    def respond(self, excitation: Excitation) -> Generator[Block, None, Recording]:
        """Sample the twins' answer to the whole excitation, and pass it on trial by trial. Raises PlantError."""
        devices = driven_devices(self._station, excitation.channels)
        for device in devices:
            self._check_device(device, excitation)
        names = tuple(name for device in devices for name in device.response)
        return self._answer(excitation, devices, names)

    def _answer(
        self, excitation: Excitation, devices: tuple[Device, ...], names: tuple[str, ...]
    ) -> Generator[Block, None, Recording]:
        parts = [self._sample(device, excitation) for device in devices]
        response = np.concatenate(parts, axis=2)
        for trial in range(excitation.n_trials):
            yield Block(trial, 0, excitation.drive[trial], response[trial])
        started = utc_now()
        header = RecordingHeader(
            shape=(excitation.n_trials, excitation.n_samples),
            dt_s=excitation.dt_s,
            drive_names=excitation.channels,
            drive_units=tuple(self._station.channels[name].unit for name in excitation.channels),
            response_names=names,
            response_units=tuple(self._station.channels[name].unit for name in names),
            n_prepare=0,
            input_id=excitation.input_id,
            simulated=True,
            started_utc=started,
            conditions={
                name: self._conditions[name]
                for device in devices
                for name in (*device.conditions, *self._twins[device.name].spec.condition_names)
                if name in self._conditions
            },
            provenance={
                "simulated": True,
                "started_utc": started,
                "plant": "twins",
                "twins": sorted(self._twins),
                "samples": {device.name: self._described(device) for device in devices},
            },
        )
        measured = np.full(excitation.n_trials, excitation.n_samples, dtype=np.int64)
        return Recording(header, excitation.drive, response, measured, complete=True)

    def _sample(self, device: Device, excitation: Excitation) -> NDArray[np.float64]:
        """(trial, time, response channel) of one device."""
        import torch

        from twins import OutsideFittedRange

        drive = torch.from_numpy(np.stack([excitation.values(name) for name in device.drive], axis=-1))
        try:
            with torch.no_grad():
                answer = self._twins[device.name].respond(
                    drive,
                    generator=self._generator,
                    conditions={name: self._conditions[name] for name in self._twins[device.name].spec.condition_names},
                    check_range=self._check_range,
                )
        except OutsideFittedRange as error:
            raise PlantError(f"{device.name}: {error}") from error
        return np.asarray(answer.numpy(), dtype=np.float64)

    def _described(self, device: Device) -> dict[str, Any]:
        """What the samples of a device hold, as plain data."""
        twin = self._twins[device.name]
        spec = twin.spec
        return {
            "members": len(getattr(twin, "members", (twin,))),
            "measurement_noise": spec.observation,
            "trial_drift": spec.trial_drift,
            "conditions": list(spec.condition_names),
            "range_checked": self._check_range,
        }

    def _check_device(self, device: Device, excitation: Excitation) -> None:
        twin = self._twins.get(device.name)
        if twin is None:
            raise PlantError(f"no twin of device {device.name}; there are twins of {', '.join(self._twins) or 'none'}")
        if abs(twin.spec.dt_s - excitation.dt_s) > 1e-9 * excitation.dt_s:
            raise PlantError(
                f"{device.name}: its twin has a sampling time of {twin.spec.dt_s:g} s, the excitation {excitation.dt_s:g} s"
            )
        if (twin.spec.n_drive, twin.spec.n_response) != (len(device.drive), len(device.response)):
            raise PlantError(
                f"{device.name}: its twin has {twin.spec.n_drive} drives and {twin.spec.n_response} responses; the "
                f"station gives it {len(device.drive)} and {len(device.response)}"
            )
        missing = [name for name in twin.spec.condition_names if name not in self._conditions]
        if missing:
            raise PlantError(
                f"{device.name}: its twin was fitted at several values of {', '.join(missing)}; "
                f"pass conditions={{{missing[0]!r}: …}}"
            )
