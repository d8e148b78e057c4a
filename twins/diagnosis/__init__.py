"""What recordings say about a device's noise, memory and drift, and which twin they call for.

diagnose(traces) -> Diagnosis          recommend(diagnosis, traces) -> Recommendation
"""

from twins.diagnosis.diagnose import diagnose
from twins.diagnosis.figures import ChannelDiagnosis, Diagnosis, Drift, Estimate
from twins.diagnosis.recommend import Recommendation, recommend

__all__ = ["ChannelDiagnosis", "Diagnosis", "Drift", "Estimate", "Recommendation", "diagnose", "recommend"]
