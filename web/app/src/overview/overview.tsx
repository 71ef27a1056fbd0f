import { useSubscription, useUsage } from "@tollgate/react";
import { Page } from "../ui/page";
import { Meters } from "./meters";
import { PlanCard } from "./plan-card";
import { RiskBanner } from "./risk-banner";
import { SuspendedBanner } from "./suspended-banner";

export function Overview() {
  const usage = useUsage();
  const subscription = useSubscription();
  return (
    <Page title="Overview" intro="Your plan and what you have used of it.">
      {subscription.suspended ? <SuspendedBanner /> : <RiskBanner quotas={usage.quotas} />}
      <div className="overview">
        <Meters usage={usage} plan={subscription.plan} />
        <PlanCard answer={subscription} />
      </div>
    </Page>
  );
}
