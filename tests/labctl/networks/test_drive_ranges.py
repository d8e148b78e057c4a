"""Where a network may drive each device, also one of several drive channels."""

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.device_options import DeviceOptions, DriveOptions
from labctl.campaigns.drive_ranges import allowed_ranges, range_of
from labctl.campaigns.optimise_network import optimise_network
from labctl.errors import CampaignError
from labctl.network_file import parse_network_file
from labctl.station import Station, parse_station
from labctl.twin_drives import TwinDrives
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit
from twins.network.ports import Levels

TWO = """
[station]
name = "two drives"
simulated = true
[instruments.awg]
driver = "keysight_33500b"
address = "TCPIP::127.0.0.1::1::SOCKET"
[channels.gate]
kind = "drive"
instrument = "awg"
terminal = "1"
unit = "V"
limits = [-0.5, 0.5]
slew_per_s = 1e6
safe = { value = 0.0, how = "now" }
[channels.clock]
kind = "drive"
instrument = "awg"
terminal = "2"
unit = "V"
limits = [-5.0, 5.0]
slew_per_s = 1e6
safe = { value = 0.0, how = "now" }
[channels.pickup]
kind = "sense"
instrument = "awg"
terminal = "3"
unit = "V"
[devices.ring]
drive = ["gate", "clock"]
response = ["pickup"]
time_constant_s = 1e-3
sample_rate_Hz = 5000.0
"""
NETWORK = """
task = "delayed_parity"
[layers.only]
nodes = ["ring", "ring"]
[devices.ring]
dac_bits = 8
dac_range = [-1, 1]
[devices.ring.drives.clock]
range = [-0.6, 0.6]
dac_step = 0.1
dac_range = [-0.6, 0.6]
[initial]
n_starts = 1
[optimiser]
n_iterations = 2
n_trials = 4
n_validation_trials = 4
n_validation_draws = 1
n_readout_trials = 6
n_readout_draws = 1
[sizes]
n_training_trials = 3
n_heldout_trials = 3
n_reservoir_draws = 20
n_reservoir_trials = 4
"""


@pytest.fixture
def station() -> Station:
    return parse_station(TWO)


@pytest.fixture(scope="module")
def ring() -> DeviceTwin:
    """A twin of two drives and one response."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-0.8, 0.8, size=(8, 20, 2)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros((8, 60, 1))
    for k in range(59):
        pushed = np.tanh(drive[:, k, :1] + drive[:, k, :1] * drive[:, k, 1:])
        response[:, k + 1] = 0.6 * response[:, k] + 0.4 * pushed + 0.02 * rng.normal(size=(8, 1))
    traces = Traces(drive, response, 2e-4, ("gate", "clock"), ("V", "V"), ("pickup",), ("V",), n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(4,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=2):
        pass
    return twin


def test_a_pair_is_the_range_of_every_channel_and_pairs_are_those_of_each() -> None:
    assert range_of((-1.0, 2.0), 1) == (-1.0, 2.0)
    assert range_of(((-1.0, 2.0), (0.0, 3.0)), 1) == (0.0, 3.0)


def test_each_channel_stays_within_twin_station_and_wish(ring: DeviceTwin, station: Station) -> None:
    options = {"ring": DeviceOptions(drives={"clock": DriveOptions((-0.3, 0.3))})}
    gate, clock = allowed_ranges({"ring": ring}, station, options=options)["ring"]
    assert gate == (-0.5, 0.5)
    assert clock == (-0.3, 0.3)
    _, clock = allowed_ranges({"ring": ring}, station, {"ring": (-0.4, 0.4)}, options=options)["ring"]
    assert clock == (-0.4, 0.4), "what is asked for now goes before what the file says"


def test_a_device_that_the_station_drives_otherwise_is_refused(station: Station) -> None:
    single = TwinDrives(("gate",), ((-1.0, 1.0),), dt_s=2e-4)
    with pytest.raises(CampaignError, match=r"its twin has 1 drive channel\(s\), the station 2 \(gate, clock\)"):
        allowed_ranges({"ring": single}, station)


def test_a_device_of_two_drives_is_a_node_with_levels_of_its_own(ring: DeviceTwin, station: Station) -> None:
    description = parse_network_file(NETWORK)
    description.check(station=station, twins={"ring": ring})
    plan = description.plan(dt_s=2e-4, station=station)
    ranges = allowed_ranges({"ring": ring}, station, options=plan.device_options)
    campaign = optimise_network({"ring": ring}, plan, ranges=ranges, seed=0, examples_seed=1)
    wiring = run(campaign, on_event=lambda event: None).wiring
    gate, clock = wiring.port("ring").drives
    assert gate.levels == Levels(-1.0, 1.0, 256)
    assert clock.levels is not None and (clock.levels.n, clock.levels.low) == (13, -0.6)
    assert gate.range == pytest.approx((-0.5, 0.5), rel=1e-5)
    assert wiring.layers[0].W_in.shape == (4, 1, 1), "two lines for each of two nodes"
    drive = wiring.drive_for(0, 0, plan.examples(seed=1)[0].inputs)
    assert drive.shape == (3, 30, 2)
    counts = (drive[..., 1] + 0.6) / 0.1
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-6)
