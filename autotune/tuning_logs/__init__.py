"""What was measured: records, and the database that keeps them."""

from autotune.tuning_logs.accept import Accept
from autotune.tuning_logs.database import Database, Neighbour
from autotune.tuning_logs.interface import TuningDatabase
from autotune.tuning_logs.opening import DatabaseError
from autotune.tuning_logs.records import DeviceInfo, Host, Record, Run, TargetInfo, Task, Workload

__all__ = [
    "Accept",
    "Database",
    "DatabaseError",
    "DeviceInfo",
    "Host",
    "Neighbour",
    "Record",
    "Run",
    "TargetInfo",
    "Task",
    "TuningDatabase",
    "Workload",
]
