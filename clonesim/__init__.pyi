from . import plots  # noqa: F401 ("as plots" makes mypy look for itself)
from .delta import Delta as Delta
from .delta import replay as replay
from .errors import ClonesimError as ClonesimError
from .guest import Volume as Volume
from .guest.cluster_map import cluster_map as cluster_map
from .ingest import Trace as Trace
from .ingest import iter_trace as iter_trace
from .ingest import read_counters as read_counters
from .ingest import read_file_trace as read_file_trace
from .ingest import read_image as read_image
from .ingest import read_inventory as read_inventory
from .ingest import read_listing as read_listing
from .ingest import read_trace as read_trace
from .ingest import reclaimable as reclaimable
from .lun import lock_queue as lock_queue
from .planning import lock_estimate as lock_estimate
from .planning import plan_density as plan_density
from .planning import size as size
from .planning.backtest import backtest as backtest
from .planning.calibrate import calibrate as calibrate
from .planning.compare import compare as compare
from .planning.growth_fit import fit_growth as fit_growth
from .planning.prefill import prefill as prefill
from .planning.probe import fit_probe as fit_probe
from .planning.sensitivity import sensitivity as sensitivity
from .pool import Run as Run
from .pool import policy_band as policy_band
from .pool import run_trace as run_trace
from .pool import simulate as simulate
from .report import write_report as write_report
from .scenario import load_scenario as load_scenario

__version__: str
